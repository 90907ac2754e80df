package test

import (
	"cmp"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func escapeQuery(s string) string { return url.QueryEscape(s) }

// sorts checks the order of whole results. Resources without a value stand together at one end: R4 leaves open at which. A
// Period may stand by its start or by its end.
func (w *world) sorts(t *testing.T) {
	for _, q := range []string{"Patient?_sort=family", "Patient?_sort=-family", "Patient?_sort=name", "Patient?_sort=birthdate", "Patient?_sort=-birthdate", "Patient?_sort=gender,birthdate",
		"Patient?_sort=-gender,-birthdate,family", "Patient?_sort=_id", "Patient?_sort=-_id", "Patient?_sort=_lastUpdated", "Patient?_sort=-_lastUpdated", "Patient?_sort=address-city,-given",
		"Encounter?_sort=date", "Encounter?_sort=-date", "Encounter?_sort=-date,status", "Encounter?_sort=class,date", "Condition?_sort=onset-date", "Condition?_sort=-recorded-date,code",
		"Observation?_sort=date", "Observation?_sort=-date", "Observation?_sort=value-quantity&code=8302-2", "Observation?_sort=-value-quantity,date&code=29463-7", "Observation?_sort=code,-date&category=laboratory",
		"Observation?_sort=-value-quantity&code=edge", "RiskAssessment?_sort=probability", "RiskAssessment?_sort=-probability", "Practitioner?_sort=family,given", "Organization?_sort=-name",
		"MedicationRequest?_sort=-authoredon", "MedicationRequest?_sort=status,authoredon", "DocumentReference?_sort=type,-date", "Immunization?_sort=vaccine-code,date",
		"Observation?_sort=-date&patient=" + w.names["p"], "Observation?_sort=date&patient=" + w.names["p"] + "&category=laboratory", "ValueSet?_sort=url", "List?_sort=title"} {
		typ, query, _ := strings.Cut(q, "?")
		got := w.judge(t, typ, query+"&_count=1000")
		_, by, _ := strings.Cut(query, "_sort=")
		by, _, _ = strings.Cut(by, "&")
		if !w.n.sortedBy(got.list, by, false) && !w.n.sortedBy(got.list, by, true) {
			t.Errorf("%s: not in order", q)
		}
	}
}

// sortKey is one value to sort by; kinds are never mixed.
type naiveKey struct {
	has  bool
	text string
	num  *big.Rat
	at   time.Time
}

func (k naiveKey) compare(o naiveKey) int {
	c := cmp.Or(strings.Compare(k.text, o.text), k.at.Compare(o.at))
	if k.num != nil && o.num != nil {
		c = k.num.Cmp(o.num)
	}
	return c
}

// sortedBy reports whether a list keeps an order; ends is whether dates count by their end.
func (n *naive) sortedBy(list []string, by string, ends bool) bool {
	keys := strings.Split(by, ",")
	rows := make([][]naiveKey, len(list))
	for i, ref := range list {
		for _, k := range keys {
			code, desc := strings.CutPrefix(k, "-")
			rows[i] = append(rows[i], n.sortKey(n.all[ref], code, desc, ends))
		}
	}
	for _, missingFirst := range []bool{false, true} {
		if slices.IsSortedFunc(rows, func(a, b []naiveKey) int { return compareRows(a, b, keys, missingFirst) }) {
			return true
		}
	}
	return false
}

func compareRows(a, b []naiveKey, by []string, missingFirst bool) int {
	for i := range by {
		if a[i].has != b[i].has {
			if a[i].has != missingFirst {
				return -1
			}
			return 1
		}
		if c := a[i].compare(b[i]); c != 0 {
			if by[i][0] == '-' {
				return -c
			}
			return c
		}
	}
	return 0
}

// sortKey is the least value of a parameter, or for a descending order the greatest.
func (n *naive) sortKey(r map[string]any, code string, desc, ends bool) (out naiveKey) {
	p := naiveParams[r["resourceType"].(string)][code]
	for _, v := range n.values(r, p) {
		for _, k := range keysOf(p.kind, v, ends) {
			if c := k.compare(out); !out.has || (c < 0 && !desc) || (c > 0 && desc) {
				out = k
			}
		}
	}
	return out
}

func keysOf(kind byte, v any, ends bool) (out []naiveKey) {
	switch kind {
	case 'd':
		if i, ok := intervalOf(v); ok {
			at := i.lo
			if ends {
				at = i.hi
			}
			out = append(out, naiveKey{has: true, at: at})
		}
	case 't':
		for _, c := range codings(v) {
			out = append(out, naiveKey{has: true, text: c.code})
		}
	case 'n', 'q':
		lo, hi, _ := numbersOf(v)
		if lo == nil && hi != nil {
			lo = new(big.Rat).SetInt64(-1 << 62)
		}
		if lo != nil {
			out = append(out, naiveKey{has: true, num: lo})
		}
	case 's', 'u':
		for _, s := range textsOf(v) {
			out = append(out, naiveKey{has: true, text: foldText(s)})
		}
	}
	return out
}

func textsOf(v any) (out []string) {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []any:
		for _, e := range x {
			out = append(out, textsOf(e)...)
		}
	case map[string]any:
		for _, part := range []string{"family", "given", "prefix", "suffix", "text", "line", "city", "district", "state", "postalCode", "country"} {
			out = append(out, textsOf(x[part])...)
		}
	}
	return out
}
