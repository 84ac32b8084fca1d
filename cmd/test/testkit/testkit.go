// Package testkit bounds what tests wait for and write, and names the tiers that
// only run when asked for. It knows nothing of what is tested; tests of every
// package may use it, programs may not.
package testkit

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Limit is the longest that one process of a test may take: many times what it
// takes on a busy machine, and less than what `go test` gives a package.
const Limit = 5 * time.Minute

// Tiers are the tests that run only when LORAC_SLOW names them, with the reason.
var Tiers = map[string]string{
	"systems":  "vets by all rules, and vets and builds for other systems and processors",
	"crash":    "kills at random moments, many times over",
	"bench":    "measures, which other work on the machine disturbs",
	"programs": "many random configs, freeze patterns and edited dumps, each compiled and checked, some trained",
	"passes":   "every graph under every memory limit in every type, and on every mesh",
	"ascend":   "kernels and trainers for Ascend on the twin, at larger sizes and many times over",
	"serve":    "a chat template from training to a talk, and lorac serve with the client of OpenAI and in a browser",
	"release":  "release archives of every platform, and a day in an empty network with no Go",
	"sizes":    "kernels of the CPU at every small size",
	"mpi":      "many ranks under each MPI, and every fault of a rank",
	"tokens":   "ids of 10,000 lines for each kind of tokenizer",
	"memory":   "the memory and disk space of many kinds of runs against their plans",
}

// Slow skips the test unless LORAC_SLOW names its tier. The reason tells how to
// run it: cmd/test lists it.
func Slow(t testing.TB, tier string) {
	t.Helper()
	if Tiers[tier] == "" {
		t.Fatalf("BUG: no tier %q", tier)
	}
	if !Wanted(tier) {
		t.Skipf("LORAC_SLOW=%s: %s", tier, Tiers[tier])
	}
}

// Wanted reports whether LORAC_SLOW names the tier, or all.
func Wanted(tier string) bool {
	list := strings.Split(os.Getenv("LORAC_SLOW"), ",")
	return slices.Contains(list, tier) || slices.Contains(list, "all")
}

// Command is exec.Command with a bound: after Limit, or when the test ends, the
// process is asked to end and soon after killed. A test whose process took too
// long fails.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("%s %q did not end in %v", name, args, Limit)
		}
		if cmd.Process.Signal(syscall.SIGTERM) != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	return cmd
}

// Generous lets a test process that allocates much and keeps little collect garbage
// rarely. It is called from TestMain; what the tests start is not affected.
func Generous() { debug.SetGCPercent(400) }

// Until polls a condition every few milliseconds and fails the test when it does
// not hold within Limit, or when the condition returns an error.
func Until(t testing.TB, what string, done func() (bool, error)) {
	t.Helper()
	for end := time.Now().Add(Limit); ; time.Sleep(2 * time.Millisecond) {
		ok, err := done()
		switch {
		case err != nil:
			t.Fatalf("%s: %v", what, err)
		case ok:
			return
		case time.Now().After(end):
			t.Fatalf("%s: not within %v", what, Limit)
		}
	}
}

// DeliverHangup lets processes that the test starts receive SIGHUP although this
// one ignores it, as under nohup: what is ignored stays so in children, what is
// caught is reset. The test itself is not ended by the signal.
func DeliverHangup(t testing.TB) {
	if signal.Ignored(syscall.SIGHUP) {
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGHUP)
		t.Cleanup(func() { signal.Stop(caught) })
	}
}
