package main

import (
	"os"
	"strings"
	"testing"
)

// Every module that go.mod or that of the generator requires has a line with a
// license in LICENSE, and LICENSE names no other.
func TestLicenses(t *testing.T) {
	text, err := os.ReadFile(root + "/LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "    ") && len(f) > 2 {
			listed[f[0]] = true
			if !strings.Contains(" MIT BSD-3-Clause Apache-2.0 ", " "+f[1]+" ") {
				t.Errorf("%s has the license %q", f[0], f[1])
			}
		}
	}
	required := map[string]bool{}
	for _, file := range []string{root + "/go.mod", root + "/kernels/simd/gen/go.mod"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(strings.TrimPrefix(line, "require "))
			if len(f) > 1 && strings.HasPrefix(f[1], "v") {
				required[f[0]] = true
				if !listed[f[0]] {
					t.Errorf("LICENSE lacks %s, which %s requires", f[0], file)
				}
			}
		}
	}
	for module := range listed {
		if !required[module] {
			t.Errorf("LICENSE lists %s, which nothing requires", module)
		}
	}
	if len(required) < 10 {
		t.Errorf("only %d modules are required", len(required))
	}
}
