package jsonkeys

import (
	"reflect"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	got, err := Lines([]byte("{\n\"a\": 1, \"b\": {\n\"a\": [{\"c\":\n2}]},\n\"a\": 1}"))
	if want := map[string][]int{"a": {2, 5}, "b": {2}, "b.a": {3}, "b.a[0].c": {3}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	for text, want := range map[string]string{"{\"a\":\n{\"b\": 1,\n\"b\": 2}}": "`a.b` is written twice, in line 2 and in line 3", `{"a": `: "EOF"} {
		if _, err := Lines([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
