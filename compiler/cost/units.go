package cost

import "fmt"

// FLOPUnit is the unit in which a number of operations has one to three digits
// before the point.
func FLOPUnit(n float64) (size float64, name string) {
	size, name = 1, "FLOP"
	for _, prefix := range "kMGTPE" {
		if n < 999.95*size { // what would be written as 1000 takes the next one
			break
		}
		size, name = size*1000, string(prefix)+"FLOP"
	}
	return size, name
}

// FLOPs writes a number of operations for people: four digits and a unit.
func FLOPs(n float64) string {
	if n == 0 {
		return "0 FLOP"
	}
	size, name := FLOPUnit(n)
	return fmt.Sprintf("%#.4g %s", n/size, name)
}
