package rt

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// With checkpoint_format ckpt, a run leaves what MindFormers leaves (r1.3
// core/callback/callback.py, CheckpointMonitor). With safetensors, the files are
// the same tensors in that container:
//
//	checkpoint/rank_0/PREFIX_rank_0-EPOCH_STEP.ckpt    all weights, optimizer state, counters
//	checkpoint/rank_0/meta.json                        which of them is the last
//	checkpoint_network/rank_0/PREFIX_rank_0-network.ckpt               weights
//	checkpoint_trainable/rank_0/PREFIX_rank_0-trainable_params.ckpt    what trains

// jobEntry is the text by which a .ckpt of ours is known: the identity of its
// run. scaleEntry is all of the loss scale, keptEntry how saved activations are stored.
const jobEntry, scaleEntry, keptEntry = "lorac_job", "lorac_loss_scale", "lorac_saved_activations"

// stored is a tensor that does not train, as the base stores it.
type stored struct {
	name  string
	shape []int
	w     kernels.Weight
}

// entry is the tensor to write: in its own type, or in f32 where MindSpore has
// none for it.
func (b stored) entry() mindspore.Entry {
	if data, ok := b.w.Bytes(); ok {
		write := mindspore.Bytes(data)
		if mmap.Reader(data) != nil { // copied past the mapping, which would take memory
			write = func(w io.Writer) error { _, err := io.Copy(w, mmap.Reader(data)); return err }
		}
		return mindspore.Entry{Name: b.name, DType: b.w.DType.String(), Shape: b.shape, Write: write}
	}
	return mindspore.Entry{Name: b.name, DType: "F32", Shape: b.shape, Write: func(w io.Writer) error {
		row := make([]float32, b.w.Cols)
		for i := range b.w.Rows {
			b.w.Row(row, i)
			if _, err := w.Write(peft.Bytes(row)); err != nil {
				return err
			}
			if i%256 == 255 || i+1 == b.w.Rows { // rows of an embedding, and what is computed in eight bits, are not in memory otherwise
				mmap.Release(b.w.Stored())
			}
		}
		return nil
	}}
}

// stateNames are the prefixes of optimizer states in MindSpore and MindFormers,
// by our kind: all are read, prefixes says which is written.
var stateNames = map[string][]string{
	"m": {"adam_m.", "moment1.", "lamb_m.", "exp_avg."}, "v": {"adam_v.", "moment2.", "lamb_v.", "exp_avg_sq.", "moments."},
	"h": {"accum."}, "row": {"exp_avg_sq_row."}, "col": {"exp_avg_sq_col."}, "drow": {"exp_avg_insta_row."}, "dcol": {"exp_avg_insta_col."},
}

// prefixes are those a kind of state may have, the one to write first: v is a
// square where there is an m beside it, and momentum where there is none.
func (c *checkpoints) prefixes(kind string) []string {
	kinds := map[string]bool{}
	for key, s := range c.weights.states {
		kinds[strings.TrimSuffix(key, "."+s.Names[0])] = true
	}
	names := stateNames[kind]
	switch {
	case names == nil:
		return []string{kind + "."}
	case kinds["row"] && kind == "m":
		return append([]string{"exp_avg."}, names...)
	case kinds["row"] && kind == "v":
		return append([]string{"exp_avg_sq."}, names...)
	case kind == "v" && !kinds["m"]:
		return append([]string{"moments."}, names...)
	}
	return names
}

// meta is meta.json.
type meta struct {
	Epoch int    `json:"last_epoch"`
	Step  int    `json:"last_step"`
	File  string `json:"last_ckpt_file"`
}

func (c *checkpoints) rankDir(kind string) string { return filepath.Join(c.job.Output, kind, "rank_0") }

// epochStep is how MindFormers counts a step: epoch and step within it, from
// 1; in sink mode a round of sink_size steps is an epoch.
func (c *checkpoints) epochStep(step int) (epoch, in int) {
	n := c.epoch
	if c.job.SinkSize > 0 {
		n = c.job.SinkSize
	}
	return (step-1)/n + 1, (step-1)%n + 1
}

// prefix is what the names of this run's checkpoints begin with. Files of
// an earlier run keep their names: a number is added (MindSpore
// train/callback/_checkpoint.py).
func (c *checkpoints) prefix() string {
	if c.names != "" {
		return c.names
	}
	base := c.job.Checkpoint.Prefix + "_rank_0"
	taken := regexp.MustCompile("^" + regexp.QuoteMeta(base) + `(?:_(\d{1,6}))?-\d+_\d+\.(?:ckpt|safetensors)$`)
	next := 0
	files, _ := os.ReadDir(c.rankDir("checkpoint"))
	for _, f := range files {
		if m := taken.FindStringSubmatch(f.Name()); m != nil {
			n, _ := strconv.Atoi(m[1])
			next = max(next, n+1)
		}
	}
	if next > 0 {
		base += "_" + strconv.Itoa(next)
	}
	c.names = base
	return base
}

// floats is an entry of f32 values.
func floats(name string, shape []int, x []float32) mindspore.Entry {
	return mindspore.Entry{Name: name, DType: "F32", Shape: shape, Write: mindspore.Bytes(peft.Bytes(x))}
}

// states lists the optimizer states: kind and stack.
func (c *checkpoints) states(visit func(kind string, s *Stack)) {
	for _, key := range slices.Sorted(maps.Keys(c.weights.states)) {
		s := c.weights.states[key]
		visit(strings.TrimSuffix(key, "."+s.Names[0]), s)
	}
}

// saveMindspore writes the checkpoint of a step as MindFormers does.
func (c *checkpoints) saveMindspore(at int) error {
	var trained, network, all []mindspore.Entry
	for _, s := range c.weights.params {
		trained = append(trained, s.entries("")...)
	}
	for _, b := range c.weights.base {
		network = append(network, b.entry())
	}
	for _, s := range c.weights.fixed {
		network = append(network, s.entries("")...)
	}
	network = append(network, trained...)
	slices.SortStableFunc(network, func(a, b mindspore.Entry) int { return naming.Place(a.Name) - naming.Place(b.Name) })
	epoch, in := c.epochStep(at)
	step := mindspore.Int("global_step", c.scaler.Updates)
	step.Shape = []int{1}
	all = append(slices.Clone(network), step)
	c.states(func(kind string, s *Stack) { all = append(all, c.entries(c.prefixes(kind)[0], s)...) })
	if x := c.scaler; x.Type != "" {
		all = append(all, mindspore.Float("scale_sense", float32(x.Scale)), mindspore.Int("current_iterator_step", x.Iter), mindspore.Int("last_overflow_iterator_step", x.Last),
			mindspore.Float("loss_scale", float32(x.Scale)))
	}
	all = append(all, mindspore.Int("epoch_num", epoch), mindspore.Int("step_num", at), mindspore.Int("global_batch_size", c.job.Batch().Rows()),
		mindspore.Text(jobEntry, c.id.text()), mindspore.Text(scaleEntry, c.scaler.State()), mindspore.Text(keptEntry, c.keptAs()))

	if err := c.out.Sync(); err != nil {
		return err
	}
	ext := "." + c.job.Checkpoint.Format
	name := fmt.Sprintf("%s-%d_%d%s", c.prefix(), epoch, in, ext)
	dir := c.rankDir("checkpoint")
	err := mindspore.Write(filepath.Join(dir, name), all, false)
	if err == nil && c.job.Checkpoint.Network {
		err = mindspore.Write(filepath.Join(c.rankDir("checkpoint_network"), c.prefix()+"-network"+ext), network, false)
	}
	if err == nil && c.job.Checkpoint.Trainable {
		err = mindspore.Write(filepath.Join(c.rankDir("checkpoint_trainable"), c.prefix()+"-trainable_params"+ext), trained, false)
	}
	if err == nil {
		err = atomicfile.WriteFile(filepath.Join(dir, "meta.json"), func(w io.Writer) error {
			return json.NewEncoder(w).Encode(meta{epoch, in, name})
		})
	}
	if err == nil && c.job.Checkpoint.Ranks != "" {
		err = c.saveRanks(filepath.Join(dir, name), meta{epoch, in, name})
	}
	if err != nil {
		return exit.Failedf("%w\n  = help: checkpoints that were written before are good; free space and resume with --resume_training True", err)
	}
	c.step = at
	c.pruneMindspore(name)
	return nil
}

// pruneMindspore removes the oldest checkpoints of this run, but never the last.
func (c *checkpoints) pruneMindspore(last string) {
	type old struct {
		name      string
		epoch, in int
	}
	var list []old
	mine := regexp.MustCompile("^" + regexp.QuoteMeta(c.prefix()) + `-(\d{1,9})_(\d{1,9})\.(?:ckpt|safetensors)$`)
	files, _ := os.ReadDir(c.rankDir("checkpoint"))
	for _, f := range files {
		if m := mine.FindStringSubmatch(f.Name()); m != nil && f.Name() != last {
			o := old{name: f.Name()}
			o.epoch, _ = strconv.Atoi(m[1])
			o.in, _ = strconv.Atoi(m[2])
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b old) int {
		if a.epoch != b.epoch {
			return a.epoch - b.epoch
		}
		return a.in - b.in
	})
	for len(list) > 0 && len(list) >= c.job.Checkpoint.KeepMax {
		os.Remove(filepath.Join(c.rankDir("checkpoint"), list[0].name))
		c.removeRanks(list[0].name)
		list = list[1:]
	}
}
