package job

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Setting is one key of a job with its value: an int, float64, bool, string or
// a []any of ints or strings.
type Setting struct {
	Key   string // dotted: train_data.path
	Value any
	Field any // pointer to the field of the job, where it comes from one
}

// field is a key. The tags of the fields of Job and its structs make the table:
//
//	key      the name of the key, or of the struct of keys
//	,omit    the key is left out of the settings of a job where it is zero; of a
//	         struct, all of its keys where all are
//	default  its value where the settings do not have it, else zero
//	when     left out unless another key of the struct is set (k), has a value
//	         (k=v), or has not (k!=v)
type field struct {
	key    string
	path   []int // of indices
	names  []string
	typ    string // of the struct that holds it, "" for Job
	omit   bool
	when   string
	group  []int // the struct that is left out where it is zero, nil for none
	preset string
}

// fields is the table, in the order of the declarations.
var fields = collect(reflect.TypeFor[Job](), field{}, nil)

func collect(t reflect.Type, in field, out []field) []field {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("key"), ",")
		if name == "" {
			continue
		}
		x := field{key: in.key + name, path: append(in.path[:len(in.path):len(in.path)], i), names: append(in.names[:len(in.names):len(in.names)], f.Name),
			omit: options == "omit", when: f.Tag.Get("when"), group: in.group, preset: f.Tag.Get("default")}
		if f.Type.Kind() != reflect.Struct {
			x.typ = in.typ
			out = append(out, x)
			continue
		}
		x.key += "."
		x.typ = f.Type.Name()
		if x.omit {
			x.group = x.path
		}
		out = collect(f.Type, x, out)
	}
	return out
}

func find(key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// Keys lists all keys, in the order of the declarations.
func Keys() []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.key)
	}
	return out
}

// Names is where a key is in Go: the names of the fields that lead to it, and
// the type of the struct that holds it, "" for Job itself.
func Names(key string) (path []string, typ string) {
	if f := find(key); f != nil {
		return f.names, f.typ
	}
	return nil, ""
}

// Default is a job of which nothing is said.
func Default() *Job {
	j := &Job{}
	v := reflect.ValueOf(j).Elem()
	for _, f := range fields {
		if f.preset != "" {
			if err := set(v.FieldByIndex(f.path), parse(v.FieldByIndex(f.path).Type(), f.preset)); err != nil {
				panic("BUG: job: default of " + f.key + ": " + err.Error())
			}
		}
	}
	return j
}

// parse reads a default; lists are separated by commas.
func parse(t reflect.Type, text string) any {
	switch t.Kind() {
	case reflect.Slice:
		var list []any
		for _, s := range strings.Split(text, ",") {
			list = append(list, parse(t.Elem(), s))
		}
		return list
	case reflect.Int:
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case reflect.Float64:
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x
		}
	case reflect.Bool:
		return text == "true"
	}
	return text
}

// Settings lists the keys of a job with their values. Decode gives the job back.
func (j *Job) Settings() []Setting {
	var out []Setting
	v := reflect.ValueOf(j).Elem()
	for _, f := range fields {
		x := v.FieldByIndex(f.path)
		if f.omit && (x.IsZero() || x.Kind() == reflect.Slice && x.Len() == 0) || f.group != nil && v.FieldByIndex(f.group).IsZero() || !holds(v, &f) {
			continue
		}
		out = append(out, Setting{f.key, value(x), x.Addr().Interface()})
	}
	return out
}

// holds reports whether the condition of a key is met.
func holds(v reflect.Value, f *field) bool {
	if f.when == "" {
		return true
	}
	name, want, equal := strings.Cut(f.when, "=")
	name, not := strings.CutSuffix(name, "!")
	other := v.FieldByIndex(find(f.key[:strings.LastIndexByte(f.key, '.')+1] + name).path)
	if !equal {
		return !other.IsZero()
	}
	return (fmt.Sprint(other.Interface()) == want) != not
}

// value is the value of a field as settings have it.
func value(x reflect.Value) any {
	if x.Kind() != reflect.Slice {
		return x.Interface()
	}
	list := make([]any, x.Len())
	for i := range list {
		list[i] = x.Index(i).Interface()
	}
	return list
}

// Decode makes a job of its settings; keys that are not among them have their
// defaults. A key that no job has, or a value of another type, is an error.
func Decode(settings []Setting) (*Job, error) {
	j := Default()
	v := reflect.ValueOf(j).Elem()
	for _, s := range settings {
		f := find(s.Key)
		if f == nil {
			return nil, fmt.Errorf("the trainer's job has no field for the setting `%s`", s.Key)
		}
		if err := set(v.FieldByIndex(f.path), s.Value); err != nil {
			return nil, fmt.Errorf("the setting `%s` is %w", s.Key, err)
		}
	}
	return j, nil
}

// set gives a field a value of a setting. Numbers may be written either way
// where that is the same number.
func set(to reflect.Value, val any) error {
	if to.Kind() == reflect.Slice {
		list, ok := val.([]any)
		if !ok {
			return fmt.Errorf("a %T, the trainer's job wants a list", val)
		}
		x := reflect.MakeSlice(to.Type(), len(list), len(list))
		for i, e := range list {
			if err := set(x.Index(i), e); err != nil {
				return err
			}
		}
		to.Set(x)
		return nil
	}
	if n, ok := val.(int); ok && to.Kind() == reflect.Float64 {
		val = float64(n)
	}
	if x, ok := val.(float64); ok && to.Kind() == reflect.Int && x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		val = int(x)
	}
	if x := reflect.ValueOf(val); x.IsValid() && x.Type() == to.Type() {
		to.Set(x)
		return nil
	}
	return fmt.Errorf("a %T, the trainer's job wants a %s", val, to.Type())
}
