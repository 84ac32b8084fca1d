package rt

import (
	"testing"

	"lorac/runtime/exit"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"16GiB": 16 << 30, "500MB": 500e6, "1024": 1024, "1.5 KiB": 1536, "7B": 7, "1e3": 1000, "1": 1, "1073741824GiB": 1 << 60,
		// 0 stands for a refusal.
		"": 0, "0": 0, "0.5": 0, "-1GiB": 0, "GiB": 0, "16G": 0, "16 gib": 0, "NaN": 0, "inf": 0, "infGiB": 0, "1e30GiB": 0, "99999999999GiB": 0, "1073741825GiB": 0,
	} {
		n, err := ParseBytes(text)
		if n != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d (%v), want %d", text, n, err, want)
		}
	}
}

// What a trainer tells the user to give is what was given.
func TestSizeFlag(t *testing.T) {
	for n, want := range map[int64]string{1: "1", 16 << 30: "16384MiB", 1<<20 + 1: "1048577"} {
		if got := sizeFlag(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		} else if again, err := ParseBytes(got); again != n || err != nil {
			t.Errorf("%s is read as %d (%v)", got, again, err)
		}
	}
}

func TestMib(t *testing.T) {
	for n, want := range map[int]string{1: "1 B", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 16 << 30: "16.00 GiB"} {
		if got := mib(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// Flags set fields of the job or options; what they cannot take is a wrong call.
func TestFlags(t *testing.T) {
	j := Job{Schedule: Schedule{LR: 1}}
	o, err := parseFlags(&j, []string{"--epochs", "3", "--runner_config.batch_size=4", "--do_eval", "True", "--steps=9", "--predict_data", `a\nb`, "--no_progress"})
	if err != nil || j.Epochs != 3 || j.BatchSize != 4 || !j.DoEval || o.Steps != 9 || o.Prompts[0] != `a\nb` || !o.NoProgress {
		t.Errorf("%+v %+v %v", j, o, err)
	}
	for _, bad := range [][]string{{"--epochs", "0"}, {"--epochs"}, {"--do_eval", "yes"}, {"--nope", "1"}, {"word"}, {"--model.model_config.num_layers", "3"}, {"--mem_limit", "lots"}} {
		if _, err := parseFlags(&Job{}, bad); exit.Code(err) != exit.Usage {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
