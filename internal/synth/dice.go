package synth

import (
	"math/rand/v2"
	"time"
)

const day = 24 * time.Hour

// dice is one patient's source of chance. Draws are made in a fixed order, so
// inserting one changes every later draw of that patient and of no other.
type dice struct{ *rand.Rand }

// newDice starts a stream for (seed, index). Both are mixed first, for PCG
// streams of neighbouring states start alike.
func newDice(seed, index uint64) dice {
	return dice{rand.New(rand.NewPCG(mix(seed), mix(index^mix(seed+1))))}
}

// mix is the splitmix64 finalizer: a bijection that spreads every bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d dice) chance(p float64) bool { return d.Float64() < p }

func (d dice) between(lo, hi float64) float64 { return lo + (hi-lo)*d.Float64() }

// normal draws from a normal distribution cut at two and a half deviations.
func (d dice) normal(mean, sd float64) float64 {
	z := d.NormFloat64()
	return mean + sd*min(max(z, -2.5), 2.5)
}

// span draws a duration from lo to hi, to the second.
func (d dice) span(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return (lo + time.Duration(d.Int64N(int64(hi-lo)))).Truncate(time.Second)
}

// pick draws one element of a table.
func pick[T any](d dice, table []T) T { return table[d.IntN(len(table))] }

// weighted draws an index in proportion to its weight; the weights are not all
// zero.
func (d dice) weighted(n int, weight func(int) float64) int {
	total := 0.0
	for i := range n {
		total += weight(i)
	}
	x := d.Float64() * total
	last := 0
	for i := range n {
		w := weight(i)
		if w <= 0 {
			continue
		}
		last = i
		if x -= w; x < 0 {
			break
		}
	}
	return last
}
