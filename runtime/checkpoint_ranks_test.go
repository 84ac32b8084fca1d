package rt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/sharded"
)

// With save_ranks, the newest checkpoints are there as each rank would have saved them,
// with what says how; put together they are the whole one.
func TestSaveRanks(t *testing.T) {
	j, out := devicesJob(t), t.TempDir()
	j.Checkpoint.Ranks = "data_parallel=4,model_parallel=2,vocab_emb_dp=false"
	if said, err := execute(j, body(never), "--output_dir", out, "--checkpoint_format", "ckpt"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	whole, _ := filepath.Glob(filepath.Join(out, "checkpoint", "rank_0", "*.ckpt"))
	of7, _ := filepath.Glob(filepath.Join(out, "rank_checkpoint", "rank_7", "*_rank_7-*.ckpt"))
	if len(whole) != j.Checkpoint.KeepMax || len(of7) != len(whole) {
		t.Fatalf("whole: %v\nrank 7: %v", whole, of7)
	}
	layout, err := sharded.Load(filepath.Join(out, "strategy"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := sharded.Open(filepath.Join(out, "rank_checkpoint"), "", layout)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	one, err := sharded.Open(filepath.Join(out, "checkpoint"), "", sharded.One())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if layout.Ranks() != 8 || len(tree.Names()) != len(one.Names()) {
		t.Fatalf("%d ranks with %v, whole: %v", layout.Ranks(), tree.Names(), one.Names())
	}
	for _, name := range one.Names() {
		var a, b bytes.Buffer
		if tree.Write(&a, name) != nil || one.Write(&b, name) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s is another in the ranks", name)
		}
	}
	if text, err := os.ReadFile(filepath.Join(out, "rank_checkpoint", "rank_3", "meta.json")); err != nil || !strings.Contains(string(text), "_rank_3-") {
		t.Errorf("meta.json of rank 3: %s, %v", text, err)
	}
}

// What cannot be written for ranks is refused before the first step.
func TestSaveRanksRefused(t *testing.T) {
	for ranks, c := range map[string]struct {
		format, want string
		code         int
	}{
		"data_parallel=8":                       {"lorac", "save_ranks needs checkpoints as MindFormers writes them", exit.Usage},
		"pipeline_stage=8,offset=1:0:0:0:0:0:0": {"ckpt", "offset has 7 numbers, pipeline_stage is 8", exit.Input},
	} {
		j := devicesJob(t)
		j.Checkpoint.Ranks = ranks
		said, err := execute(j, body(never), "--output_dir", t.TempDir(), "--checkpoint_format", c.format)
		if exit.Code(err) != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(said, "step 1/") {
			t.Errorf("%s: %v\n%s", ranks, err, said)
		}
	}
}
