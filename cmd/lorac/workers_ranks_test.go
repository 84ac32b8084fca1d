package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

// files are those below a directory, with what they hold.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The ranks that several processes save are those of one, to the byte, and a run of
// several starts from them as from the whole.
func TestWorkersRanks(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, map[string]string{"devices": "4", "save_ranks": "True", "parallel.parallel_mode": "1", "parallel.full_batch": "True",
		"parallel_config.data_parallel": "2", "parallel_config.model_parallel": "2", "parallel_config.vocab_emb_dp": "False"})
	x.settings["checkpoint_format"] = "ckpt"
	run := func(out string, from []string, args ...string) string {
		t.Helper()
		cmd := x.finetune(out, args...)
		if from != nil {
			at := slices.Index(cmd.Args, "--load_checkpoint")
			cmd.Args = slices.Delete(cmd.Args, at, at+4) // and the adapter, which is in it
			cmd.Args = append(cmd.Args, from...)
		}
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, text)
		}
		return string(text)
	}
	one := filepath.Join(t.TempDir(), "one")
	run(one, nil)
	ranks, strategy := filepath.Join(one, "rank_checkpoint"), filepath.Join(one, "strategy")
	want := files(t, ranks)
	if len(want) < 8 || len(files(t, strategy)) != 4 {
		t.Fatalf("%d files of ranks", len(want))
	}
	from := []string{"--load_checkpoint", ranks, "--src_strategy_path_or_dir", strategy, "--auto_trans_ckpt", "True"}
	again := filepath.Join(t.TempDir(), "again")
	run(again, from)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, how := range [][]string{{"--workers", "3"}, {"--mesh", "os=2,pp=2"}} {
			if l.Family == mpi.MPICH && how[0] == "--mesh" {
				continue
			}
			out := filepath.Join(t.TempDir(), "out")
			run(out, nil, how...)
			for name, text := range files(t, filepath.Join(out, "rank_checkpoint")) {
				if text != want[name] {
					t.Errorf("%q: %s differs", how, name)
				}
			}
			if got := files(t, filepath.Join(out, "rank_checkpoint")); len(got) != len(want) {
				t.Errorf("%q: %d files, not %d", how, len(got), len(want))
			}
			out = filepath.Join(t.TempDir(), "out")
			said := run(out, from, how...)
			if n := strings.Count(said, "transformed"); n == 0 {
				t.Errorf("%q: it does not say that it transforms\n%s", how, said)
			}
			sameOutcome(t, strings.Join(how, " "), outcome(t, again), outcome(t, out))
		}
	})
}
