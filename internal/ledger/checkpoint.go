package ledger

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Checkpoint is a signed statement of a log's size and root: five lines of text in a note (C2SP tlog-checkpoint), of which the
// last two are ours: the size of the checkpoint before, and when it was made by the signer's clock.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Prev   int64
	Made   time.Time
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nprev %d\ntime %s\n", c.Origin, c.Size, c.Root, c.Prev, c.Made.UTC().Format(time.RFC3339Nano))
}

// parse reads a checkpoint's text.
func parse(text string) (c Checkpoint, err error) {
	bad := fault.New(fault.Invalid, "not a checkpoint")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 5 {
		return c, bad
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 {
		return c, bad
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return c, bad
	}
	prev, ok := strings.CutPrefix(lines[3], "prev ")
	if c.Prev, err = strconv.ParseInt(prev, 10, 64); err != nil || !ok || c.Prev < 0 || c.Prev >= c.Size {
		return c, bad
	}
	at, ok := strings.CutPrefix(lines[4], "time ")
	if c.Made, err = time.Parse(time.RFC3339Nano, at); err != nil || !ok {
		return c, bad
	}
	return c, nil
}

// Keys are the public keys that a log's checkpoints are verified with.
type Keys struct {
	Log     note.Verifier // of the role that writes the log
	Witness note.Verifier // of the role that watches it
}

// Verifiers are the keys of all roles, by stream. Cell and keys are witnessed by control, control by keys.
type Verifiers map[string]Verifier

// Verifier is a role's public key, with its text form.
type Verifier struct {
	note.Verifier
	Public string
}

// Public gives the text forms, as files of keys hold them.
func (v Verifiers) Public() []string {
	var out []string
	for _, stream := range []string{StreamCell, StreamControl, StreamKeys} {
		if k, ok := v[stream]; ok {
			out = append(out, k.Public)
		}
	}
	return out
}

// Of gives the keys of a stream's logs.
func (v Verifiers) Of(stream string) Keys {
	w := StreamControl
	if stream == StreamControl {
		w = StreamKeys
	}
	return Keys{Log: v[stream].Verifier, Witness: v[w].Verifier}
}

// The streams: a log's second name is the role that writes it.
const (
	StreamCell    = "cell"
	StreamControl = "control"
	StreamKeys    = "keys"
)

// ParseVerifiers reads public keys whose names end in /cell, /control and /keys: NewKey's second results.
func ParseVerifiers(vkeys ...string) (Verifiers, error) {
	out := Verifiers{}
	for _, k := range vkeys {
		v, err := note.NewVerifier(strings.TrimSpace(k))
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "not a public key of a log")
		}
		stream := v.Name()[strings.LastIndexByte(v.Name(), '/')+1:]
		if stream != StreamCell && stream != StreamControl && stream != StreamKeys {
			return nil, fault.New(fault.Invalid, "the name of a log's key ends in /cell, /control or /keys")
		}
		if _, twice := out[stream]; twice {
			return nil, fault.New(fault.Invalid, "two keys for the logs of %s", stream)
		}
		out[stream] = Verifier{v, strings.TrimSpace(k)}
	}
	return out, nil
}

// NewKey makes a signing key for a role's logs, and its public key. The name is one that nobody else uses, such as
// ehr.example.org/cell.
func NewKey(name string) (private, public string, err error) {
	return note.GenerateKey(rand.Reader, name)
}

// Signing is a role's key pair for its logs.
type Signing struct {
	Signer note.Signer
	Public string
}

// ParseKey reads a signing key as NewKey made it.
func ParseKey(private string) (Signing, error) {
	s, err := note.NewSigner(strings.TrimSpace(private))
	if err != nil {
		return Signing{}, fault.New(fault.Invalid, "not a signing key of a log") // the cause may quote the key
	}
	pub, err := publicOf(private)
	return Signing{s, pub}, err
}

// opened is a note that holds a checkpoint, with what its signatures are worth.
type opened struct {
	Checkpoint
	text     string
	signed   bool // by the log's key
	witnessd bool // by the witness's
}

// open reads a note. A note without the log's signature is an error; the witness's may be missing.
func (k Keys) open(n Name, b []byte) (opened, error) {
	msg, err := note.Open(b, note.VerifierList(k.Log, k.Witness))
	if err != nil {
		return opened{}, fault.Wrap(fault.Invalid, err, "the signature of a checkpoint is not good")
	}
	o := opened{text: msg.Text}
	for _, s := range msg.Sigs {
		o.signed = o.signed || s.Name == k.Log.Name() && s.Hash == k.Log.KeyHash()
		o.witnessd = o.witnessd || s.Name == k.Witness.Name() && s.Hash == k.Witness.KeyHash()
	}
	if !o.signed {
		return o, fault.New(fault.Invalid, "a checkpoint is not signed by its log")
	}
	if o.Checkpoint, err = parse(msg.Text); err != nil {
		return o, err
	}
	if o.Origin != n.Origin() {
		return o, fault.New(fault.Invalid, "a checkpoint is of another log")
	}
	return o, nil
}
