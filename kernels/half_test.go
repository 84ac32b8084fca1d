package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every half, its neighbours in f32 and the ties between halves, and bits at
// random: what narrow, round and widen make of them on every instruction set.
func TestHalves(t *testing.T) {
	for _, d := range []DType{F16, BF16} {
		from, most := Half, float32(65504)
		if d == BF16 {
			from, most = BFloat, math.Float32frombits(0x7F7F0000)
		}
		rng := rand.New(rand.NewPCG(1, uint64(d)))
		var x []float32
		for h := range 1 << 16 {
			f := from(uint16(h))
			x = append(x, f, math.Nextafter32(f, 1), math.Nextafter32(f, -1))
			if g := from(uint16(h + 1)); g-g == 0 && f-f == 0 {
				x = append(x, (f+g)/2) // a tie
			}
			x = append(x, math.Float32frombits(rng.Uint32()))
		}
		paths(t, func(t *testing.T) {
			y := NewMat(1, len(x))
			h, _ := WeightFromBytes(make([]byte, 2*len(x)), d, 1, len(x))
			wide := NewMat(1, len(x))
			ctx.Round(y, MatOf(x, 1, len(x)), d)
			ctx.Narrow(h, MatOf(x, 1, len(x)))
			ctx.Widen(wide, h)
			for i, v := range x {
				want := nearestHalf(float64(v), d, most)
				if v != v {
					if y.Data[i] == y.Data[i] || wide.Data[i] == wide.Data[i] {
						t.Fatalf("%s: %v became %v and %v", d, v, y.Data[i], wide.Data[i])
					}
					continue
				}
				if math.Float32bits(y.Data[i]) != math.Float32bits(want) || math.Float32bits(wide.Data[i]) != math.Float32bits(want) {
					t.Fatalf("%s: %v (%08x) became %v and %v, the nearest is %v", d, v, math.Float32bits(v), y.Data[i], wide.Data[i], want)
				}
			}
		})
	}
}

// nearestHalf rounds by IEEE 754's definition: to a whole number of units of
// the last place.
func nearestHalf(x float64, d DType, most float32) float32 {
	bits, least := 11, -14
	if d == BF16 {
		bits, least = 8, -126
	}
	_, e := math.Frexp(x)
	unit := math.Ldexp(1, max(e-1, least)-bits+1)
	r := math.RoundToEven(x/unit) * unit
	return float32(math.Copysign(math.Min(math.Abs(r), float64(most)), x))
}

func TestHalfTails(t *testing.T) {
	paths(t, func(t *testing.T) {
		for cols := range 70 {
			x := NewMat(3, cols)
			for i := range x.Data {
				x.Data[i] = float32(i)*1.01 - 7
			}
			back := make([]byte, 2*3*cols+2)
			h, err := WeightFromBytes(back[:2*3*cols], F16, 3, cols)
			if err != nil {
				t.Fatal(err)
			}
			ctx.Narrow(h, x)
			y := NewMat(3, cols+1)
			for i := range y.Data {
				y.Data[i] = 99
			}
			ctx.Widen(y.Columns(0, cols), h)
			for i := range 3 {
				for j := range cols {
					if y.Row(i)[j] != Half(ToHalf(x.Row(i)[j])) {
						t.Fatalf("%d columns: (%d,%d) is %v", cols, i, j, y.Row(i)[j])
					}
				}
				if y.Row(i)[cols] != 99 {
					t.Fatalf("%d columns: wrote beyond row %d", cols, i)
				}
			}
			if back[len(back)-1] != 0 || back[len(back)-2] != 0 {
				t.Fatal("wrote beyond the halves")
			}
		}
	})
}

func BenchmarkNarrow(b *testing.B) {
	x := NewMat(1024, 4096)
	h, _ := WeightFromBytes(make([]byte, 2*1024*4096), F16, 1024, 4096)
	b.SetBytes(6 * 1024 * 4096)
	for b.Loop() {
		ctx.Narrow(h, x)
	}
}
