// Command test runs `go test` and ends with a list of what was left out and how to
// get it, which go test does not show of packages that pass.
//
//	go run ./cmd/test                       the whole module
//	go run ./cmd/test -slow crash,systems   these tiers, too; "all" for all
//	go run ./cmd/test ./kernels -run Head   arguments of go test
//
// It exits like go test. What was left out is every test that skipped itself or a part, with
// its own reason; the test cache keeps them.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"lorac/cmd/test/testkit"
)

func main() {
	slow := flag.String("slow", os.Getenv("LORAC_SLOW"), "slow tiers to run, separated by commas, or all")
	flag.Parse()
	args := flag.Args()
	if len(args) == 0 {
		args = []string{"./..."}
	}
	limit := "10m"
	if *slow != "" {
		limit = "72m"
	}
	cmd := exec.Command("go", append([]string{"test", "-json", "-timeout", limit}, args...)...)
	cmd.Env = append(os.Environ(), "LORAC_SLOW="+*slow)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(3)
	}
	start := time.Now()
	r := follow(out, os.Stdout)
	err = cmd.Wait()
	r.close(os.Stdout, *slow)
	fmt.Printf("%v\n", time.Since(start).Round(time.Second))
	if err != nil {
		os.Exit(1)
	}
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	ImportPath                    string
}

// report is what a run came to.
type report struct {
	passed, failed int
	left           map[string][]string // reason → tests
	untested       []string            // packages without tests
}

type key struct{ pkg, test string }

// follow prints what go test would print, as it comes: a line for each package, and
// all output of tests that fail.
func follow(in io.Reader, w io.Writer) *report {
	r := &report{left: map[string][]string{}}
	said := map[key][]string{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return r
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			w.Write(line)
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output":
			said[k] = append(said[k], e.Output)
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "pass", "fail", "skip":
			r.end(k, e, said[k], w)
			delete(said, k)
		}
	}
}

func (r *report) end(k key, e event, said []string, w io.Writer) {
	text := strings.Join(said, "")
	switch {
	case e.Action == "fail":
		if k.test != "" || r.failed == 0 || !strings.HasPrefix(text, "FAIL") {
			fmt.Fprint(w, text)
		}
		if k.test != "" {
			r.failed++
		}
	case e.Action == "skip" && k.test == "":
		r.untested = append(r.untested, k.pkg)
		return
	case e.Action == "skip":
		why := reason(said)
		top, _, _ := strings.Cut(k.test, "/")
		if name := short(k.pkg) + "." + top; !slices.Contains(r.left[why], name) {
			r.left[why] = append(r.left[why], name)
		}
	case k.test != "":
		r.passed++
	}
	if k.test == "" {
		fmt.Fprintf(w, "%-4s %s %.1fs\n", e.Action, short(k.pkg), e.Elapsed)
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "lorac/") }

// reason is what a test said when it skipped itself: its last line with a place.
func reason(said []string) string {
	for _, line := range slices.Backward(said) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "---") || line == "" || strings.HasPrefix(line, "===") {
			continue
		}
		if _, text, ok := strings.Cut(line, ": "); ok && strings.Contains(line, ".go:") {
			return text
		}
		return line
	}
	return "no reason is given"
}

// close prints what was left out and how to get it.
func (r *report) close(w io.Writer, slow string) {
	fmt.Fprintf(w, "\n%d tests passed, %d failed, left out:\n", r.passed, r.failed)
	var reasons []string
	for why := range r.left {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		fmt.Fprintf(w, "  %s\n", why)
		for _, name := range r.left[why] {
			fmt.Fprintf(w, "      %s\n", name)
		}
	}
	if len(r.untested) > 0 {
		fmt.Fprintf(w, "  packages without tests of their own: %d\n", len(r.untested))
	}
	var tiers []string
	for name := range testkit.Tiers {
		if !strings.Contains(","+slow+",", ","+name+",") && slow != "all" {
			tiers = append(tiers, name)
		}
	}
	slices.Sort(tiers)
	if len(tiers) > 0 {
		fmt.Fprintf(w, "for the slow tiers: go run ./cmd/test -slow %s   (.ci/run runs all)\n", strings.Join(tiers, ","))
	}
}
