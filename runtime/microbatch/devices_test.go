package microbatch

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/data/dataset"
	"lorac/runtime/job"
)

// lengths is a data set whose row i has i+1 supervised tokens.
func lengths(t *testing.T, n int) *dataset.Set {
	t.Helper()
	var b strings.Builder
	for i := range n {
		ids := slices.Repeat([]string{"5"}, i+2)
		fmt.Fprintf(&b, "{\"input_ids\":[%s]}\n", strings.Join(ids, ","))
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: n + 2, Vocab: 20, IgnoreID: -100})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Rows of a step in every mode, in the job's order, with what each of their tokens
// weighs: worked out by hand. 8 rows of 1 to 8 supervised tokens, not shuffled.
func TestRowsOfDevices(t *testing.T) {
	set := lengths(t, 8)
	defer set.Close()
	for name, c := range map[string]struct {
		devices     job.Devices
		size, accum int
		perToken    bool
		steps       int
		rows        []int // of the first step
		shares      []float64
	}{
		"stand-alone, two micro-batches": {job.Devices{}, 2, 2, false, 2,
			[]int{0, 1, 2, 3}, []float64{1. / 3 / 2, 1. / 3 / 2, 1. / 7 / 2, 1. / 7 / 2}},
		"full batch": {job.Devices{Count: 4, Mode: "semi", FullBatch: true, Replicas: 4}, 1, 1, false, 2,
			[]int{0, 1, 2, 3}, []float64{1. / 10, 1. / 10, 1. / 10, 1. / 10}},
		"full batch, two replicas of two devices, two micro-batches": {job.Devices{Count: 4, Mode: "semi", FullBatch: true, Replicas: 2}, 1, 2, false, 2,
			[]int{0, 1, 2, 3}, []float64{1. / 3 / 2, 1. / 3 / 2, 1. / 7 / 2, 1. / 7 / 2}},
		"full batch, pipeline: gradients accumulate over micro_batch_num": {job.Devices{Count: 4, Mode: "semi", FullBatch: true, Replicas: 2, Micro: 4}, 1, 7, false, 1,
			[]int{0, 1, 2, 3, 4, 5, 6, 7}, []float64{1. / 3 / 4, 1. / 3 / 4, 1. / 7 / 4, 1. / 7 / 4, 1. / 11 / 4, 1. / 11 / 4, 1. / 15 / 4, 1. / 15 / 4}},
		"full batch, interleaved": {job.Devices{Count: 2, Mode: "auto", FullBatch: true, Replicas: 2, Interleave: 2}, 1, 1, false, 2,
			[]int{0, 1, 2, 3}, []float64{1. / 3 / 2, 1. / 3 / 2, 1. / 7 / 2, 1. / 7 / 2}},
		// Lists by block: 0 1 | 2 3 | 4 5 | 6 7; a mean takes the next row of each.
		"cut by blocks, two micro-batches": {job.Devices{Count: 4, Mode: "semi", Replicas: 4, Shard: "block"}, 1, 2, false, 1,
			[]int{0, 2, 4, 6, 1, 3, 5, 7}, []float64{1. / 16 / 2, 1. / 16 / 2, 1. / 16 / 2, 1. / 16 / 2, 1. / 20 / 2, 1. / 20 / 2, 1. / 20 / 2, 1. / 20 / 2}},
		// Lists by stride: 0 4 | 1 5 | 2 6 | 3 7.
		"cut by stride, two micro-batches": {job.Devices{Count: 4, Mode: "semi", Replicas: 4, Shard: "stride"}, 1, 2, false, 1,
			[]int{0, 1, 2, 3, 4, 5, 6, 7}, []float64{1. / 10 / 2, 1. / 10 / 2, 1. / 10 / 2, 1. / 10 / 2, 1. / 26 / 2, 1. / 26 / 2, 1. / 26 / 2, 1. / 26 / 2}},
		"data parallel: mean of the devices' token means, nothing accumulated": {job.Devices{Count: 2, Mode: "data", Shard: "block"}, 2, 5, false, 2,
			[]int{0, 1, 4, 5}, []float64{1. / 3 / 2, 1. / 3 / 2, 1. / 11 / 2, 1. / 11 / 2}},
		"hybrid, gradients added": {job.Devices{Count: 2, Mode: "hybrid", Shard: "stride", Sum: true}, 2, 1, false, 2,
			[]int{0, 2, 1, 3}, []float64{1. / 4, 1. / 4, 1. / 6, 1. / 6}},
		"per token": {job.Devices{Count: 2, Mode: "data", Shard: "block"}, 2, 1, true, 2,
			[]int{0, 1, 4, 5}, []float64{1. / 14, 1. / 14, 1. / 14, 1. / 14}},
		// t = ⌈8/3⌉ = 3: lists 0 1 2 | 3 4 5 | 6 7 0, the last starts over.
		"rows that are taken twice": {job.Devices{Count: 3, Mode: "data", Shard: "block"}, 3, 1, false, 1,
			[]int{0, 1, 2, 3, 4, 5, 6, 7, 0}, []float64{1. / 6 / 3, 1. / 6 / 3, 1. / 6 / 3, 1. / 15 / 3, 1. / 15 / 3, 1. / 15 / 3, 1. / 16 / 3, 1. / 16 / 3, 1. / 16 / 3}},
	} {
		j := &job.Job{Seed: 1, BatchSize: c.size, GradAccum: c.accum, TrainData: job.Data{DropRemainder: true}, Devices: c.devices}
		b := NewBatcher(set, j)
		if b.StepsPerEpoch() != c.steps {
			t.Errorf("%s: %d steps, want %d", name, b.StepsPerEpoch(), c.steps)
		}
		var rows []int
		sum := 0.
		seeds := map[uint64]bool{}
		for i, item := range b.Rows(0, c.perToken) {
			rows = append(rows, item.Row)
			if i < len(c.shares) && math.Abs(item.Share-c.shares[i]) > 1e-15 {
				t.Errorf("%s: row %d weighs %v, want %v", name, item.Row, item.Share, c.shares[i])
			}
			sum += item.Share * float64(item.Row+1)
			seeds[item.Seed] = true
		}
		if !slices.Equal(rows, c.rows) || len(seeds) != len(rows) {
			t.Errorf("%s: rows %v with %d seeds, want %v", name, rows, len(seeds), c.rows)
		}
		if math.Abs(sum-c.devices.Factor()) > 1e-14 {
			t.Errorf("%s: the shares of a step add up to %v", name, sum)
		}
	}
}

// What does not fill a step is dropped for each device, or is a shorter step.
func TestRemainderOfDevices(t *testing.T) {
	set := lengths(t, 7)
	defer set.Close()
	j := &job.Job{BatchSize: 2, GradAccum: 1, TrainData: job.Data{DropRemainder: true}, Devices: job.Devices{Count: 2, Mode: "semi", Shard: "block", Replicas: 2}}
	if b := NewBatcher(set, j); b.StepsPerEpoch() != 2 || b.Len() != 8 { // ⌈7/2⌉ = 4 rows a device
		t.Errorf("%d steps of %d rows", b.StepsPerEpoch(), b.Len())
	}
	j.BatchSize = 3
	if b := NewBatcher(set, j); b.StepsPerEpoch() != 1 {
		t.Errorf("%d steps of 3 rows a device", b.StepsPerEpoch())
	}
	j.TrainData.DropRemainder = false
	b := NewBatcher(set, j)
	if got := rowsOf(b, 1); b.StepsPerEpoch() != 2 || !slices.Equal(got, []int{3, 0}) { // lists 0 1 2 3 | 4 5 6 0
		t.Errorf("%d steps, the last of rows %v", b.StepsPerEpoch(), got)
	}
	j.TrainData.Samples = 2 // of each device
	if b = NewBatcher(set, j); b.Len() != 4 || !slices.Equal(rowsOf(b, 0), []int{0, 1, 4, 5}) {
		t.Errorf("2 samples: rows %v", rowsOf(b, 0))
	}
}

// The orders that MindSpore itself gave: one device, a full batch, and one device
// of four (by MindSpore 2.7, which cuts by stride).
func TestOrdersOfMindSpore(t *testing.T) {
	text, err := os.ReadFile("../../../shared/data/mindspore_oracle/files/order/order.json")
	if err != nil {
		t.Skip("MindSpore's orders are not here:", err)
	}
	var all struct {
		Rows   int
		Orders []struct {
			Seed    int
			Shuffle bool
			Shards  json.RawMessage `json:"num_shards"`
			Shard   int             `json:"shard_id"`
			Samples int             `json:"num_samples"`
			Repeat  int
			Epochs  json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	set := lengths(t, all.Rows)
	defer set.Close()
	cut := 0
	for _, o := range all.Orders {
		var epochs [][]int
		if json.Unmarshal(o.Epochs, &epochs) != nil {
			continue // an error of MindSpore's
		}
		j := &job.Job{Seed: o.Seed, BatchSize: 1, GradAccum: 1, TrainData: job.Data{Shuffle: o.Shuffle, Samples: o.Samples}}
		n := 1
		switch string(o.Shards) {
		case "":
		case "null":
			j.Devices = job.Devices{Count: 1, Mode: "semi", FullBatch: true, Replicas: 1}
		default:
			json.Unmarshal(o.Shards, &n)
			j.Devices = job.Devices{Count: n, Mode: "data", Shard: "stride"}
			cut++
		}
		b := NewBatcher(set, j)
		step := 0
		for e, want := range epochs {
			var got []int
			for range max(o.Repeat, 1) * b.StepsPerEpoch() {
				got = append(got, rowsOf(b, step)[o.Shard])
				step++
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: epoch %d is %v, want %v", o, e, got, want)
			}
		}
	}
	if cut < 2 {
		t.Errorf("%d orders of a data set that is cut", cut)
	}
}
