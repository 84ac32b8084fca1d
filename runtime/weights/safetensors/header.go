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

// maxHeader is the greatest length of a header that the format allows, in bytes.
const maxHeader = 100_000_000

// entry is the header's description of one tensor.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end uint64 // within the data area
}

// parse checks a container in memory and returns its tensors, which share that
// memory. The rules are those of the reference reader. In addition it rejects a
// duplicate name, and space before the header's brace, which the specification
// forbids.
func parse(file []byte) (map[string]Tensor, map[string]string, error) {
	if len(file) < 8 {
		return nil, nil, fmt.Errorf("%d bytes are fewer than the length field takes", len(file))
	}
	n, rest := binary.LittleEndian.Uint64(file), file[8:]
	if n > maxHeader {
		return nil, nil, fmt.Errorf("the header claims %d bytes, at most %d are allowed", n, maxHeader)
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("the header claims %d bytes, the file has %d", n, len(rest))
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
	at := uint64(0) // every byte before it belongs to exactly one tensor
	for _, e := range entries {
		size, err := byteSize(e.dtype, e.shape)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("tensor %q: %w", e.name, err)
		case e.end < e.begin:
			return nil, nil, fmt.Errorf("tensor %q ends at byte %d, before it begins at %d", e.name, e.end, e.begin)
		case e.begin < at:
			return nil, nil, fmt.Errorf("tensor %q begins at byte %d, inside the tensor that ends at %d", e.name, e.begin, at)
		case e.begin > at:
			return nil, nil, fmt.Errorf("the %d bytes before tensor %q belong to no tensor", e.begin-at, e.name)
		case e.end-e.begin != size:
			return nil, nil, fmt.Errorf("tensor %q: shape %v of %s takes %d bytes, data_offsets give %d", e.name, e.shape, e.dtype, size, e.end-e.begin)
		case e.end > uint64(len(data)):
			return nil, nil, fmt.Errorf("tensor %q ends at byte %d of %d: the file is truncated", e.name, e.end, len(data))
		}
		at = e.end
		tensors[e.name] = Tensor{e.name, e.dtype, e.shape, data[e.begin:e.end:e.end]}
	}
	if at != uint64(len(data)) {
		return nil, nil, fmt.Errorf("the %d bytes after the last tensor belong to no tensor", uint64(len(data))-at)
	}
	return tensors, metadata, nil
}

// parseHeader reads the JSON token by token, since a map would hide duplicates.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	header = bytes.TrimLeft(header, " \t\r\n") // as the reference library takes it
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, errors.New("the header is not a JSON object")
	}
	if !utf8.Valid(header) {
		return nil, nil, errors.New("the header is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	var entries []entry
	var metadata map[string]string
	seen := map[string]bool{}
	err := eachKey(dec, func(name string) error {
		if seen[name] {
			return fmt.Errorf("%q is duplicated in the header", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(&metadata); err != nil {
				return errors.New("__metadata__ is not a map of strings")
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
		return nil, nil, errors.New("the header has data after its JSON object")
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
			return fmt.Errorf("%s is duplicated", key)
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
				return fmt.Errorf("dtype is %v, not a string", token)
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
				return fmt.Errorf("data_offsets has %d numbers, not 2", len(offsets))
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
		return fmt.Errorf("%v is not an object", token)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return badJSON(err)
		}
		if err := visit(token.(string)); err != nil { // the decoder accepts only strings as keys
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return badJSON(err)
	}
	return nil
}

// naturals reads a list of non-negative integers without sign or decimal point.
func naturals(dec *json.Decoder, key string) ([]uint64, error) {
	var list []json.RawMessage
	if err := dec.Decode(&list); err != nil || list == nil {
		return nil, fmt.Errorf("%s is not a list of integers", key)
	}
	out := make([]uint64, len(list))
	for i, raw := range list {
		n, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s has %.40q, which is not a non-negative integer", key, raw)
		}
		out[i] = n
	}
	return out, nil
}

func badJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the header is not valid JSON: %w", err)
}
