package main

import (
	"os"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// root is the module's directory seen from this package.
const root = "../.."

func TestFormatted(t *testing.T) {
	out, err := testkit.Command(t, "gofmt", "-l", root).CombinedOutput()
	if err != nil {
		t.Fatalf("gofmt: %v\n%s", err, out)
	}
	if len(out) > 0 {
		t.Errorf("not gofmt-clean (run gofmt -w .):\n%s", out)
	}
}

func TestVetted(t *testing.T) {
	testkit.Slow(t, "systems") // `go test` vets, too, by fewer rules
	cmd := testkit.Command(t, "go", "vet", "./...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet ./...: %v\n%s", err, strings.TrimSpace(string(out)))
	}
}

// What a trainer links fits other processors and systems, too.
func TestVettedElsewhere(t *testing.T) {
	testkit.Slow(t, "systems")
	for _, to := range []string{"linux/arm64", "darwin/arm64", "windows/amd64"} {
		system, processor, _ := strings.Cut(to, "/")
		cmd := testkit.Command(t, "go", "vet", "./kernels", "./runtime/...")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS="+system, "GOARCH="+processor)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: go vet ./kernels ./runtime/...: %v\n%s", to, err, strings.TrimSpace(string(out)))
		}
	}
}
