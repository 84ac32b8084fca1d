package microbatch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/runtime/data/dataset"
	"lorac/runtime/job"
)

// alpaca is rows whose lengths are like those of alpaca. Half of a row is supervised.
func alpaca(t *testing.T, n int) *dataset.Set {
	t.Helper()
	var b strings.Builder
	sum := 0
	for _, m := range testkit.AlpacaLengths(n) {
		sum += m
		labels := append(slices.Repeat([]string{"-100"}, m/2), slices.Repeat([]string{"5"}, m+1-m/2)...)
		fmt.Fprintf(&b, "{\"input_ids\":[%s],\"labels\":[%s]}\n", strings.Join(slices.Repeat([]string{"5"}, m+1), ","), strings.Join(labels, ","))
	}
	if mean := float64(sum) / float64(n); mean < 225 || mean > 241 {
		t.Fatalf("rows of %.1f tokens in the mean", mean)
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: 1024, Vocab: 20, IgnoreID: -100})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Mean load by largest load, over an epoch: what plan says. Blocks of as many rows, as
// MindFormers cuts a batch, leave far more processes waiting.
func TestBalance(t *testing.T) {
	set := alpaca(t, 1024)
	defer set.Close()
	llama := CostOf(&job.Model{Hidden: 4096, FFN: 11008, Layers: 32, Heads: 32, KvHeads: 32}, 32000)
	for _, c := range []struct {
		devices, processes, rows int // rows a device
		least, blocks            float64
	}{
		{8, 8, 2, 0.80, 0.66}, {8, 8, 4, 0.95, 0.75}, {8, 8, 8, 0.99, 0.82},
		{64, 64, 2, 0.68, 0.50}, {64, 64, 4, 0.95, 0.62},
		{8, 4, 2, 0.97, 1}, {8, 3, 4, 0.70, 1}, {64, 5, 4, 0.90, 1}, {8, 1, 2, 1, 1},
	} {
		j := &job.Job{Seed: 1, BatchSize: c.rows, GradAccum: 1, TrainData: job.Data{Shuffle: true, DropRemainder: true},
			Devices: job.Devices{Count: c.devices, Mode: "semi", FullBatch: true, Replicas: c.devices}}
		b := NewBatcher(set, j)
		owns := make([]int, c.processes+1) // comm.Even
		for i := range owns {
			owns[i] = Units(c.devices) * i / c.processes
		}
		balance, blocks := Balance{}, 0.0
		for step := range b.StepsPerEpoch() {
			balance.Add(b, b.Divide(step, c.devices, false, llama), owns)
			blocks += blocksOf(b, step, c.devices, llama) / float64(b.StepsPerEpoch())
		}
		if got := balance.Mean(); got < c.least || got > 1 || balance.Least > got {
			t.Errorf("%d rows on %d of %d devices: %.3f, want %.2f", c.rows, c.processes, c.devices, got, c.least)
		}
		if c.processes == c.devices && blocks > c.blocks {
			t.Errorf("%d rows on %d devices in blocks: %.3f, over %.2f", c.rows, c.devices, blocks, c.blocks)
		}
		if all := balance.All; balance.Steps != b.StepsPerEpoch() || all.Rows != b.Len() || all.Targets >= all.Tokens || all.Cross >= all.Squares {
			t.Errorf("an epoch of %d rows: %+v", b.Len(), balance)
		}
	}
}

// blocksOf is mean load by largest load of a step whose rows are cut in blocks.
func blocksOf(b *Batcher, step, devices int, c Cost) float64 {
	items := b.Rows(step, false)
	most, all := int64(0), int64(0)
	for i := range devices {
		n := int64(0)
		for _, x := range items[len(items)*i/devices : len(items)*(i+1)/devices] {
			row := b.set.Row(x.Row)
			n += c.of(live(row), Supervised(row))
		}
		most, all = max(most, n), all+n
	}
	return float64(all) / float64(devices) / float64(most)
}

// Loads by hand: two steps of rows of 1 to 8 tokens on two processes.
func TestLoads(t *testing.T) {
	set := lengths(t, 8)
	defer set.Close()
	j := &job.Job{BatchSize: 2, GradAccum: 1, TrainData: job.Data{DropRemainder: true}, Devices: job.Devices{Count: 2, Mode: "semi", FullBatch: true, Replicas: 2}}
	b := NewBatcher(set, j)
	balance := Balance{}
	for step := range 2 { // 1 4 | 2 3, then 5 8 | 6 7
		balance.Add(b, b.Divide(step, 2, false, Cost{Token: 1}), []int{0, 1, 2})
	}
	if balance.Mean() != 1 || balance.All.Tokens != 36 || balance.All.Squares != 204 || balance.Largest.Tokens != 18 || balance.Largest.Rows != 4 {
		t.Errorf("%+v", balance)
	}
	one := Balance{}
	one.Add(b, b.Divide(0, 2, false, Cost{Token: 1}), []int{0, 2, 2}) // the second has nothing to do
	if one.Mean() != 0.5 || one.Least != 0.5 || one.Largest.Tokens != 10 {
		t.Errorf("%+v", one)
	}
}
