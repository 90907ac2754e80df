// Command dictgen makes the compression dictionary of stored bodies out of synthetic resources, which hold nothing of anyone:
//
//	go run ./cmd/dictgen -out internal/record/dict/1.bin
//
// A dictionary is never changed once bodies were stored with it: another one gets the next number.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"log"
	"os"
	"slices"

	"github.com/cordon-ehr/cordon/internal/synth"
)

// size is the most that the compressor looks back into.
const size = 64 << 10

func main() {
	out := flag.String("out", "", "file to write")
	flag.Parse()
	b, err := dictionary()
	if err == nil {
		err = os.WriteFile(*out, b, 0o600)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// dictionary strings together a few resources of every type. The commonest types come last, where they are cheapest to refer
// to.
func dictionary() ([]byte, error) {
	byType := map[string][][]byte{}
	count := map[string]int{}
	for p := range synth.Patients(synth.Options{Seed: 1815, Count: 200}) {
		var b struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(p.Bundle, &b); err != nil {
			return nil, err
		}
		for _, e := range b.Entry {
			var head struct{ ResourceType string }
			if err := json.Unmarshal(e.Resource, &head); err != nil {
				return nil, err
			}
			t := head.ResourceType
			count[t]++
			if len(e.Resource) < 3000 && count[t]%7 == 1 && len(byType[t]) < 8+count[t]/400 {
				byType[t] = append(byType[t], e.Resource)
			}
		}
	}
	types := make([]string, 0, len(byType))
	for t := range byType {
		types = append(types, t)
	}
	slices.Sort(types)
	slices.SortStableFunc(types, func(a, b string) int { return count[a] - count[b] })
	var b bytes.Buffer
	for _, t := range types {
		for _, r := range byType[t] {
			b.Write(r)
		}
	}
	all := b.Bytes()
	return all[max(0, len(all)-size):], nil
}
