package seal

import (
	"bytes"
	"testing"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

// FuzzPlaces: two places that differ in anything have different texts, whatever their parts are: a:b and c is not a and b:c. A
// value opens in its own place only.
func FuzzPlaces(f *testing.F) {
	key := NewKey(NewSecret(), 1)
	one, other := tenant.NewID().Bytes(), tenant.NewID().Bytes()
	f.Add(one[:], "version", int16(1), int64(2), []byte("s"), int64(3), other[:], "version", int16(1), int64(2), []byte("s"), int64(3))
	f.Add(one[:], "a:b", int16(1), int64(0), []byte("c"), int64(3), one[:], "a", int16(1), int64(0), []byte("b:c"), int64(3))
	f.Add(one[:], "version\x00", int16(0), int64(1)<<56, []byte{}, int64(0), one[:], "version", int16(0), int64(1), []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, t1 []byte, table1 string, kind1 int16, id1 int64, sub1 []byte, ver1 int64, t2 []byte, table2 string, kind2 int16, id2 int64, sub2 []byte, ver2 int64) {
		place := func(id []byte, table string, kind int16, n int64, sub []byte, ver int64) Place {
			var of [16]byte
			copy(of[:], id)
			p := Place{Tenant: tenant.IDFromBytes(of), Table: table, Kind: kind, ID: n, Version: ver}
			copy(p.Sub[:], sub)
			return p
		}
		a, b := place(t1, table1, kind1, id1, sub1, ver1), place(t2, table2, kind2, id2, sub2, ver2)
		if len(table1) > 255 || len(table2) > 255 {
			return // tables are constants of the code
		}
		if bytes.Equal(a.aad(nil, 1), b.aad(nil, 1)) != (a == b) {
			t.Fatalf("%+v and %+v", a, b)
		}
		if _, err := key.Open(nil, key.Seal(nil, []byte("x"), a), b); (err == nil) != (a == b) {
			t.Fatalf("sealed at %+v, opened at %+v: %v", a, b, err)
		}
	})
}
