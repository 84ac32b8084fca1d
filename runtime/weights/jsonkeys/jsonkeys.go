// Package jsonkeys finds where the keys of a JSON object stand, for messages to quote. It
// must not know what they mean.
package jsonkeys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Lines are those of each key, by its path, as rope_scaling.factor. A key that is written twice with two values is an error: programs
// differ in which one they take.
func Lines(text []byte) (map[string][]int, error) {
	w := &walk{dec: json.NewDecoder(bytes.NewReader(text)), text: text, at: map[string][]int{}}
	if _, err := w.value(""); err != nil {
		return nil, err
	}
	if w.twice != "" {
		l := w.at[w.twice]
		first, second := l[len(l)-2], l[len(l)-1]
		at := fmt.Sprintf("in line %d and in line %d", first, second)
		if first == second {
			at = fmt.Sprintf("in line %d", first)
		}
		return nil, fmt.Errorf("`%s` is written twice, %s, with two values that contradict each other: keep one", strings.Trim(fmt.Sprintf("%.60q", w.twice), `"`), at)
	}
	return w.at, nil
}

type walk struct {
	dec   *json.Decoder
	text  []byte
	at    map[string][]int
	twice string // the first key with two values
}

// value reads one value; path is that of its key.
func (w *walk) value(path string) (any, error) {
	t, err := w.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return w.fields(path)
	case json.Delim('['):
		list := []any{}
		for w.dec.More() {
			v, err := w.value(fmt.Sprintf("%s[%d]", path, len(list)))
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := w.dec.Token()
		return list, err
	}
	return t, nil
}

func (w *walk) fields(path string) (any, error) {
	out := map[string]any{}
	for w.dec.More() {
		t, err := w.dec.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string)
		key := name
		if path != "" {
			key = path + "." + name
		}
		w.at[key] = append(w.at[key], 1+bytes.Count(w.text[:w.dec.InputOffset()], []byte("\n")))
		v, err := w.value(key)
		if err != nil {
			return nil, err
		}
		if first, ok := out[name]; ok && !reflect.DeepEqual(first, v) && w.twice == "" {
			w.twice = key
		}
		out[name] = v
	}
	_, err := w.dec.Token()
	return out, err
}
