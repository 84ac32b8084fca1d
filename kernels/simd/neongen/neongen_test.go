package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// The assembly is what the generator writes.
func TestNEONIsFresh(t *testing.T) {
	for name, want := range files() {
		if got, err := os.ReadFile(filepath.Join("..", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes (%v): go generate ./kernels/simd", name, err)
		}
	}
}

// An instruction that does not exist, or whose operand does not fit, is not encoded.
func TestEncodingRefuses(t *testing.T) {
	for _, text := range []string{"fadd v0.4s, v1.4s", "ldr q0, [x1, #8]", "fadd v0.4s, v1.4s, v2.3s", "nop"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is encoded", text)
				}
			}()
			encode(text)
		}()
	}
}

// Every word is what GNU's assembler makes of the comment beside it.
func TestEncodings(t *testing.T) {
	const gas = "aarch64-linux-gnu-as"
	if _, err := exec.LookPath(gas); err != nil {
		t.Skip(gas + " is not installed (Debian: binutils-aarch64-linux-gnu)")
	}
	dir, line := t.TempDir(), regexp.MustCompile(`(?m)^\tWORD \$0x([0-9a-f]{8}) // (.*)$`)
	seen, words := map[string]bool{}, []string{}
	source := ".arch armv8.2-a+dotprod\n"
	for _, text := range files() {
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			if !seen[m[2]] {
				seen[m[2]] = true
				source += m[2] + "\n"
				words = append(words, m[1]+" "+m[2])
			}
		}
	}
	from, to := filepath.Join(dir, "all.s"), filepath.Join(dir, "all.o")
	if err := os.WriteFile(from, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := testkit.Command(t, gas, "-o", to, from).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := testkit.Command(t, "aarch64-linux-gnu-objdump", "-d", to).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^ +[0-9a-f]+:\t([0-9a-f]{8})`).FindAllStringSubmatch(string(out), -1) {
		got = append(got, m[1])
	}
	if len(got) != len(words) || len(words) < 500 {
		t.Fatal(fmt.Sprint(len(got), " words of ", len(words)))
	}
	for i, w := range words {
		if !strings.HasPrefix(w, got[i]) {
			t.Errorf("%s: GNU's assembler says %s", w, got[i])
		}
	}
}
