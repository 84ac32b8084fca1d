package bench

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"

	"lorac/runtime/sys/protowire"
)

// sample is how often a stack was seen.
type sample struct {
	count int64
	stack []string // functions, the innermost first
}

// numbers adds those of a repeated field, one of them or packed.
func numbers(list []uint64, v uint64, data []byte) []uint64 {
	if data == nil {
		return append(list, v)
	}
	for len(data) > 0 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return list
		}
		list, data = append(list, v), data[n:]
	}
	return list
}

// readSamples reads what runtime/pprof writes (github.com/google/pprof, profile.proto), as
// far as it counts stacks.
func readSamples(r io.Reader) ([]sample, error) {
	packed, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		return nil, err
	}
	type raw struct{ places, values []uint64 }
	var all []raw
	var names []string
	functions, places := map[uint64]uint64{}, map[uint64][]uint64{} // names of functions, functions of places
	err = protowire.Each(text, func(field int, _ uint64, message []byte) error {
		switch field {
		case 2:
			var s raw
			err := protowire.Each(message, func(field int, v uint64, data []byte) error {
				switch field {
				case 1:
					s.places = numbers(s.places, v, data)
				case 2:
					s.values = numbers(s.values, v, data)
				}
				return nil
			})
			all = append(all, s)
			return err
		case 4:
			var id uint64
			var lines []uint64
			err := protowire.Each(message, func(field int, v uint64, data []byte) error {
				switch field {
				case 1:
					id = v
				case 4:
					return protowire.Each(data, func(field int, v uint64, _ []byte) error {
						if field == 1 {
							lines = append(lines, v)
						}
						return nil
					})
				}
				return nil
			})
			places[id] = lines
			return err
		case 5:
			var id, name uint64
			err := protowire.Each(message, func(field int, v uint64, _ []byte) error {
				switch field {
				case 1:
					id = v
				case 2:
					name = v
				}
				return nil
			})
			functions[id] = name
			return err
		case 6:
			names = append(names, string(message))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []sample
	for _, s := range all {
		if len(s.values) == 0 {
			return nil, errors.New("a sample without a count")
		}
		x := sample{count: int64(s.values[0])}
		for _, place := range s.places {
			for _, f := range places[place] {
				if name := functions[f]; name < uint64(len(names)) {
					x.stack = append(x.stack, names[name])
				}
			}
		}
		out = append(out, x)
	}
	return out, nil
}
