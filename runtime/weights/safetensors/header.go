package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"
)

// maxHeader is the longest header the format allows, in bytes.
const maxHeader = 100_000_000

// entry is what the header says about one tensor.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end uint64 // within the data area
}

// parse checks a container that lies in memory and returns its tensors, which
// share that memory. The rules are those of the reference reader; beyond them a
// name that stands twice is refused, and so is space before the header's brace,
// which the format's text forbids.
func parse(file []byte) (map[string]Tensor, map[string]string, error) {
	if len(file) < 8 {
		return nil, nil, fmt.Errorf("%d bytes are fewer than its length field takes", len(file))
	}
	n, rest := binary.LittleEndian.Uint64(file), file[8:]
	if n > maxHeader {
		return nil, nil, fmt.Errorf("its header claims %d bytes, at most %d are allowed", n, maxHeader)
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("its header claims %d bytes, %d are there", n, len(rest))
	}
	entries, metadata, err := parseHeader(rest[:n])
	if err != nil {
		return nil, nil, err
	}
	data := rest[n:]
	sort.Slice(entries, func(i, j int) bool {
		a, b := entries[i], entries[j]
		return a.begin < b.begin || a.begin == b.begin && a.end < b.end
	})
	tensors := make(map[string]Tensor, len(entries))
	at := uint64(0) // everything before is covered, once
	for _, e := range entries {
		size, err := byteSize(e.dtype, e.shape)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("tensor %q: %w", e.name, err)
		case e.end < e.begin:
			return nil, nil, fmt.Errorf("tensor %q ends at byte %d, before it begins at %d", e.name, e.end, e.begin)
		case e.begin < at:
			return nil, nil, fmt.Errorf("tensor %q begins at byte %d, inside the one that ends at %d", e.name, e.begin, at)
		case e.begin > at:
			return nil, nil, fmt.Errorf("the %d bytes before tensor %q belong to none", e.begin-at, e.name)
		case e.end-e.begin != size:
			return nil, nil, fmt.Errorf("tensor %q: shape %v of %s takes %d bytes, %d are given", e.name, e.shape, e.dtype, size, e.end-e.begin)
		case e.end > uint64(len(data)):
			return nil, nil, fmt.Errorf("tensor %q ends at byte %d of %d: the file is cut short", e.name, e.end, len(data))
		}
		at = e.end
		tensors[e.name] = Tensor{e.name, e.dtype, e.shape, data[e.begin:e.end:e.end]}
	}
	if at != uint64(len(data)) {
		return nil, nil, fmt.Errorf("the %d bytes after the last tensor belong to none", uint64(len(data))-at)
	}
	return tensors, metadata, nil
}

// parseHeader reads the JSON token by token: a map would hide what stands twice.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, errors.New("its header is no JSON object")
	}
	if !utf8.Valid(header) {
		return nil, nil, errors.New("its header is no UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	var entries []entry
	var metadata map[string]string
	seen := map[string]bool{}
	err := eachKey(dec, func(name string) error {
		if seen[name] {
			return fmt.Errorf("%q stands twice in its header", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(&metadata); err != nil {
				return errors.New("its __metadata__ is no map from text to text")
			}
			return nil
		}
		e, err := parseEntry(dec, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("something stands after the JSON of its header")
	}
	return entries, metadata, nil
}

// parseEntry reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
// Keys of later versions of the format are skipped.
func parseEntry(dec *json.Decoder, name string) (entry, error) {
	e := entry{name: name}
	seen := map[string]bool{}
	err := eachKey(dec, func(key string) error {
		if seen[key] {
			return fmt.Errorf("%s stands twice", key)
		}
		seen[key] = true
		switch key {
		case "dtype":
			token, err := dec.Token()
			if err != nil {
				return badJSON(err)
			}
			dtype, ok := token.(string)
			if !ok {
				return fmt.Errorf("dtype is %v, a name is due", token)
			}
			e.dtype = dtype
		case "shape":
			dims, err := naturals(dec, key)
			if err != nil {
				return err
			}
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				if d > math.MaxInt {
					return fmt.Errorf("dimension %d is too large", d)
				}
				e.shape[i] = int(d)
			}
		case "data_offsets":
			offsets, err := naturals(dec, key)
			if err != nil {
				return err
			}
			if len(offsets) != 2 {
				return fmt.Errorf("data_offsets has %d numbers, 2 are due", len(offsets))
			}
			e.begin, e.end = offsets[0], offsets[1]
		default:
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return badJSON(err)
			}
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return e, fmt.Errorf("%s is missing", key)
		}
	}
	return e, nil
}

// eachKey reads an object and calls visit after each key; visit reads the value.
func eachKey(dec *json.Decoder, visit func(key string) error) error {
	token, err := dec.Token()
	if err != nil {
		return badJSON(err)
	}
	if token != json.Delim('{') {
		return fmt.Errorf("%v stands where an object is due", token)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return badJSON(err)
		}
		if err := visit(token.(string)); err != nil { // the decoder lets only text be a key
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return badJSON(err)
	}
	return nil
}

// naturals reads a list of whole numbers, written as such: no sign, no point.
func naturals(dec *json.Decoder, key string) ([]uint64, error) {
	var list []json.RawMessage
	if err := dec.Decode(&list); err != nil || list == nil {
		return nil, fmt.Errorf("%s is no list of whole numbers", key)
	}
	out := make([]uint64, len(list))
	for i, raw := range list {
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s has %.40q where a whole number is due", key, raw)
		}
		out[i] = n
	}
	return out, nil
}

func badJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("its header is no valid JSON: %w", err)
}
