package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lorac/cmd/test/testkit"
)

// together is a test in the package of an emitted trainer: it runs the job under
// several command lines at once, each in a goroutine.
const together = `package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	rt "lorac/runtime"
	"lorac/runtime/exit"
)

func TestTogether(t *testing.T) {
	var lines [][]string
	if err := json.Unmarshal([]byte(os.Getenv("LINES")), &lines); err != nil {
		t.Fatal(err)
	}
	before := job
	var all sync.WaitGroup
	for _, args := range lines {
		all.Go(func() {
			var said strings.Builder
			if err := rt.Execute(&job, args, &said, run); err != nil {
				t.Errorf("%v: %v\n%s", args, err, said.String())
			}
			if !strings.Contains(said.String(), "adapter written to") {
				t.Errorf("%v says\n%s", args, said.String())
			}
		})
	}
	all.Go(func() {
		err := rt.Execute(&job, []string{"--load_checkpoint", "nowhere"}, io.Discard, run)
		if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "cannot open the base weights") {
			t.Errorf("a run whose weights are missing: %v", err)
		}
	})
	all.Wait()
	if job.Seed != before.Seed || job.Output != before.Output || job.Epochs != before.Epochs {
		t.Errorf("the flags of a run changed the job that runs share: %+v", job)
	}
}
`

// Runs that share a process, each with flags, threads and memory of its own,
// give the bits of the same runs alone; an error of one ends that one only.
func TestRunsShareAProcess(t *testing.T) {
	t.Parallel()
	x := newTiny(t, restless)
	var lines [][]string
	var outs []string
	for i, flags := range [][]string{{"--seed", "7", "--threads", "2"}, {"--seed", "8", "--threads", "3", "--epochs", "3"}, {"--seed", "7", "--threads", "1"}} {
		out := filepath.Join(x.dir, fmt.Sprint("shared", i))
		lines, outs = append(lines, append(x.command(out).Args[1:], flags...)), append(outs, out)
	}
	text, err := json.Marshal(lines)
	x.must(err)
	build := filepath.Join(x.dir, "build")
	x.must(os.CopyFS(build, os.DirFS(filepath.Dir(x.bin))))
	x.must(os.WriteFile(filepath.Join(build, "trainer", "together_test.go"), []byte(together), 0o666))
	cmd := testkit.Command(t, "go", "test", "-mod=vendor", "-trimpath", "-vet=off", "-count=1", "-run=TestTogether", "./trainer")
	cmd.Dir = build
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "LINES="+string(text))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	first := outcome(t, outs[0])
	sameOutcome(t, "one seed in two runs", first, outcome(t, outs[2]))
	for i, out := range outs[:2] {
		alone := filepath.Join(x.dir, fmt.Sprint("alone", i))
		cmd := testkit.Command(t, x.bin, lines[i]...)
		cmd.Args = append(cmd.Args, "--output_dir", alone)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		sameOutcome(t, fmt.Sprintf("run %d", i), outcome(t, alone), outcome(t, out))
	}
	if first == outcome(t, outs[1]) {
		t.Error("another seed gives the same result")
	}
}
