//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lorac/runtime/weights/peft"
)

// shortenedAt starts the job, cuts the base file when line 3 of the metrics is
// there, and returns what the run said, which must end with exit code 3.
func (x *tiny) shortenedAt(base, out string, size int64, args ...string) string {
	x.t.Helper()
	var said bytes.Buffer
	cmd := x.command(out, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	x.must(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for metricLines(out) < 3 {
		select {
		case err := <-done:
			x.t.Fatalf("the run ended before its third step: %v\n%s", err, said.String())
		case <-time.After(200 * time.Microsecond):
		}
	}
	x.must(os.Truncate(base, size))
	var err error
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		<-done
		x.t.Fatalf("the run continued without its base\n%s", clipped(said.String()))
	}
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != 3 {
		x.t.Errorf("%v, want exit code 3\n%s", err, clipped(said.String()))
	}
	return said.String()
}

// clipped is the end of a long text.
func clipped(s string) string { return s[max(len(s)-4000, 0):] }

// TestShortenedBase: a base file that is truncated while a run uses it ends the run
// with an error, and the checkpoints written before are good.
func TestShortenedBase(t *testing.T) {
	t.Parallel()
	x := newTiny(t, map[string]string{"runner_config.epochs": "1000000"}) // it does not end by itself
	base := filepath.Join(x.dir, "base", "model.safetensors")
	whole, err := os.ReadFile(base)
	x.must(err)
	embedding := peft.Bytes(x.weights["model.tok_embeddings.embedding_weight"])
	behind := bytes.Index(whole, embedding) + len(embedding)
	if len(embedding) == 0 || behind < len(embedding) || len(whole)-behind < 3*os.Getpagesize() {
		t.Fatalf("the embedding, of %d bytes, ends at %d of %d", len(embedding), behind, len(whole))
	}
	for name, size := range map[string]int{
		"all of it":  0,              // the embedding, which is read by the row
		"the layers": behind,         // memory that is gone
		"a byte":     len(whole) - 1, // memory that is zero
	} {
		for _, threads := range []string{"1", "2", "3"} {
			out := filepath.Join(x.dir, strings.ReplaceAll(name, " ", "_")+threads)
			said := x.shortenedAt(base, out, int64(size), "--threads", threads)
			x.must(os.WriteFile(base, whole, 0o666))
			at := regexp.MustCompile(`(?m)^error: (\S+) was shortened or could not be read while it was in use.*\n  = help: .* checkpoints up to step (\d+) are good$`).FindStringSubmatch(said)
			if at == nil || at[1] != base || strings.Count(said, "error:") != 1 || strings.Contains(said, "goroutine ") {
				t.Fatalf("%s, %s threads:\n%s", name, threads, clipped(said))
			}
			step, _ := strconv.Atoi(at[2])
			if step < 2 || step%2 != 0 {
				t.Errorf("a checkpoint of step %d", step)
			}
			if left, _ := os.ReadDir(filepath.Join(out, "checkpoint")); len(left) > 3 {
				t.Errorf("%d files in checkpoint/, 3 are kept", len(left))
			}
			steps := fmt.Sprint(step + 2)
			again := filepath.Join(x.dir, "whole"+name+threads)
			x.run(again, "--steps", steps)
			mustContain(t, x.run(out, "--resume_training", "True", "--steps", steps), fmt.Sprintf("resumed after step %d", step))
			sameOutcome(t, name, outcome(t, again), outcome(t, out))
		}
	}
}
