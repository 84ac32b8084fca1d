package cost

import "strings"

// SoC is a kind of Ascend device (Atlas A2 and A3, arch 2201), as its
// platform_config states it. An A3 card is two of them.
type SoC struct {
	Name           string
	Cubes, Vectors int
	MHz            int // of the cube
	HBM            int // bytes
}

// SoCs is those whose numbers are known.
var SoCs = []SoC{
	{"910b1", 24, 48, 1850, 64 << 30},
	{"910b2", 24, 48, 1800, 64 << 30},
	{"910b3", 20, 40, 1800, 64 << 30},
	{"910b4", 20, 40, 1500, 32 << 30},
	{"910b4_1", 20, 40, 1500, 32 << 30},
	{"910_9391", 24, 48, 1850, 64 << 30},
	{"910_9392", 24, 48, 1850, 64 << 30},
	{"910_9381", 24, 48, 1800, 64 << 30},
	{"910_9382", 24, 48, 1800, 64 << 30},
	{"910_9372", 20, 40, 1800, 64 << 30},
	{"910_9362", 20, 40, 1500, 32 << 30},
}

// SoCOf finds one by its name, also as ACL writes it: Ascend910B3.
func SoCOf(name string) (SoC, bool) {
	name = strings.TrimPrefix(strings.ToLower(name), "ascend")
	name = strings.ReplaceAll(name, "-", "_")
	if name == "910b2c" {
		name = "910b2"
	}
	for _, s := range SoCs {
		if s.Name == name {
			return s, true
		}
	}
	return SoC{}, false
}

// SoCNames lists their names.
func SoCNames() (out []string) {
	for _, s := range SoCs {
		out = append(out, s.Name)
	}
	return out
}

// Peak is the FLOPs a second of its cubes in 16 bits: 16×16×16 multiply-adds a
// cycle each.
func (s SoC) Peak() float64 { return float64(s.Cubes) * 8192 * float64(s.MHz) * 1e6 }

// Bandwidth is the bytes a second of its memory.
func (s SoC) Bandwidth() float64 { return 1.6e12 }
