package train

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The bytes of a file, which testdata/peers/tensorboard_events.py reads with TensorBoard's
// own reader, and writes with its writer. A second file of a second is another.
func TestEvents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tensorboard")
	now := func() time.Time { return time.Unix(1700000000, 500000000) }
	for _, step := range []int{0, 4} {
		e, err := openEvents(dir, step, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.step(Metric{Step: step + 1, Loss: 2.5, LR: 1e-4, GradNorm: 0.75, Speed: 1000}); err != nil {
			t.Fatal(err)
		}
		if err := e.evaluated(Evaluated{step + 1, []Number{{"eval_loss", 2.25}}}); err != nil {
			t.Fatal(err)
		}
		e.f.Close()
	}
	var got strings.Builder
	for _, name := range []string{"events.out.tfevents.1700000000.lorac", "events.out.tfevents.1700000001.lorac"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(hex.Dump(text))
	}
	golden := filepath.Join("testdata", "events.hex")
	want, _ := os.ReadFile(golden)
	if got.String() != string(want) {
		t.Errorf("the events are not those of %s; %s", golden, got.String())
	}
}
