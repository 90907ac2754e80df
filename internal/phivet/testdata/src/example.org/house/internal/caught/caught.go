// Package caught has one leak of each kind.
package caught

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"example.org/house/internal/fault"
	"example.org/house/internal/fhir"
	"example.org/house/internal/phi"
	"example.org/house/internal/seal"
	"example.org/house/internal/words"
)

type chart struct {
	name phi.Text // not exported: fmt prints it by reflection
	n    int
}

type shelf struct{ charts map[string][]*chart }

func byType(t phi.Text, b phi.Body, s seal.Secret, c chart, p *chart, h shelf) {
	fmt.Println(t)                        // want `fmt.Println is given a .*phi.Text`
	_ = fmt.Sprintf("%v %d", c, 1)        // want `fmt.Sprintf is given a chart`
	_ = fmt.Errorf("%v", p)               // want `fmt.Errorf is given a \*chart`
	slog.Info("x", "h", h)                // want `log/slog.Info is given a shelf`
	slog.Info("x", slog.Any("b", b))      // want `log/slog.Any is given a .*phi.Body`
	log.Print(s)                          // want `log.Print is given a .*seal.Secret`
	panic(t)                              // want `panic is given a .*phi.Text`
	_ = fault.New(1, "%s", t)             // want `New is given a .*phi.Text`
	fmt.Fprintln(os.Stderr, "x", []any{}) // an interface says nothing
}

func byFlow(t phi.Text, b phi.Body, s seal.Secret, v fhir.Value, r *http.Request, w http.ResponseWriter, l *slog.Logger) error {
	name := t.Reveal()
	fmt.Println("name", name)                               // want `can reach fmt.Println`
	log.Printf("%s", b.Reveal())                            // want `can reach log.Printf`
	l.Info("x", slog.String("name", strings.ToUpper(name))) // want `can reach log/slog.String`
	l.Info("read " + name)                                  // want `can reach log/slog.Logger.Info`
	l.Info("x", slog.String("key", string(s.Reveal())))     // want `can reach log/slog.String`
	_ = errors.New("no " + v.Get("family").Str())           // want `can reach errors.New`
	_ = fmt.Errorf("no %s", string(t))                      // want `can reach fmt.Errorf`
	http.Error(w, r.URL.RawQuery, 400)                      // want `can reach net/http.Error`
	fmt.Fprint(os.Stderr, r.PathValue("id"))                // want `can reach fmt.Fprint`
	os.Stderr.WriteString(name)                             // want `can reach os.File.WriteString`
	print(name)                                             // want `can reach print`
	_ = &fault.Fault{Text: name}                            // want `can reach the text of an error`
	_ = fault.Issue{Diagnostics: "bad " + name}             // want `can reach the text of an error`
	_ = fault.New(1, "no %s", name)                         // want `by way of fault.New`
	_, err := strconv.Atoi(name)
	_ = fault.Wrap(1, err, "no number") // want `can reach fault.Wrap`
	_, err = time.Parse("2006", name)
	l.Info("x", slog.String("error", err.Error())) // want `can reach log/slog.String`
	if body, err := io.ReadAll(r.Body); err == nil {
		log.Print(string(body)) // want `can reach log.Print`
	}
	req, _ := http.NewRequest("GET", "https://h/"+name, nil) // want `can reach net/http.NewRequest`
	_ = req
	_ = words.Fail(name)                  // want `errors.New by way of words.Fail`
	_ = words.Fail(words.Both("a", name)) // want `errors.New by way of words.Fail`
	_ = words.Fail(words.Name(t))         // want `errors.New by way of words.Fail`
	own(name)                             // want `can reach fmt.Println by way of .*caught.own`
	var sb strings.Builder
	sb.WriteString("x")
	fmt.Fprintf(&sb, "%s", name)
	log.Print(sb.String()) // want `can reach log.Print`
	var buf bytes.Buffer
	buf.WriteString(name)
	log.Print(buf.String()) // want `can reach log.Print`
	list := []string{"a"}
	list = append(list, name)
	log.Print(list[0]) // want `can reach log.Print`
	kept := map[string]string{}
	kept["a"] = name
	log.Print(kept) // want `can reach log.Print`
	x := struct{ a, b string }{a: name}
	log.Print(x.a)                      // want `can reach log.Print`
	log.Print(x)                        // want `can reach log.Print`
	later := func() { log.Print(name) } // want `can reach log.Print`
	later()
	if name == "panic" {
		panic("no " + name) // want `can reach panic`
	}
	return fmt.Errorf("%s", strings.Join([]string{name}, ",")) // want `can reach fmt.Errorf`
}

func own(s string) { deeper(s, 1) } // want own:`prints 10`

func deeper(s string, n int) { fmt.Println(s, n) } // want deeper:`prints 10`

func comments(t phi.Text) {
	//phi:allow the test wants it
	log.Print(t)
	log.Print(t.Reveal()) //phi:allow the test wants it
	log.Print(t.Reveal()) //phi:allow // want `phi:allow without a reason` `can reach log.Print`
	//phi:allow nothing needs this // want `phi:allow allows nothing here`
	log.Print("plain")
}
