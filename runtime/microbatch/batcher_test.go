package microbatch

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/job"
)

func smallSet(t *testing.T) *dataset.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	rows := `{"input_ids":[1,2,3,4,5],"labels":[-100,-100,3,4,5]}
{"input_ids":[1,6,7],"labels":[-100,6,-100]}
{"input_ids":[1,8,9,10],"labels":[-100,8,9,10]}
{"input_ids":[1,11],"labels":[-100,11]}
{"input_ids":[1,2,3,4,5,6,7,8],"labels":[-100,2,-100,-100,5,-100,-100,-100]}
`
	if err := os.WriteFile(path, []byte(rows), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: 16, Vocab: 20, IgnoreID: -100})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// newBatcher takes steps of micro × accum rows on one device.
func newBatcher(set *dataset.Set, d job.Data, seed, micro, accum int) *Batcher {
	return NewBatcher(set, &job.Job{Seed: seed, BatchSize: micro, GradAccum: accum, TrainData: d})
}

// rowsOf is the rows of a step.
func rowsOf(b *Batcher, step int) []int {
	rows, _ := b.rows(step)
	return rows
}

// packed is the micro-batches of a step of one device.
func packed(b *Batcher, step, maxRows int, perToken bool) []*MicroBatch {
	return b.Pack(b.Divide(step, 1, perToken, Cost{Token: 1})[0], maxRows)
}

func TestLayout(t *testing.T) {
	b := newBatcher(smallSet(t), job.Data{}, 1, 2, 2)
	ps := packed(b, 0, 100, false)
	if len(ps) != 1 {
		t.Fatalf("%d micro-batches", len(ps))
	}
	p := ps[0]
	// Row 2 ends after its last supervised token; of each row the last id is a target only.
	if want := []int32{1, 2, 3, 4, 1, 1, 8, 9, 1}; !slices.Equal(p.Tokens, want) {
		t.Errorf("tokens %v, want %v", p.Tokens, want)
	}
	if want := []int32{0, 1, 2, 3, 0, 0, 1, 2, 0}; !slices.Equal(p.Pos, want) {
		t.Errorf("positions %v", p.Pos)
	}
	if want := []int32{0, 4, 5, 8}; !slices.Equal(p.Starts, want) {
		t.Errorf("starts %v", p.Starts)
	}
	if want := []int32{1, 2, 3, 4, 5, 6, 7, 8}; !slices.Equal(p.Rows, want) {
		t.Errorf("rows %v", p.Rows)
	}
	if want := []int32{3, 4, 5, 6, 8, 9, 10, 11}; !slices.Equal(p.Targets, want) {
		t.Errorf("targets %v", p.Targets)
	}
	// Two micro-batches of four supervised tokens each: 1/4 within, 1/2 between.
	for _, w := range p.Weights {
		if w != 1.0/8 {
			t.Errorf("weights %v", p.Weights)
		}
	}
}

// However a step is split, the rows carry the same tokens, weights and seeds.
func TestSplitChangesNothing(t *testing.T) {
	set := smallSet(t)
	for _, perToken := range []bool{false, true} {
		join := func(maxRows int) (tokens []int32, weights []float32, seeds []uint64) {
			for _, p := range packed(newBatcher(set, job.Data{Shuffle: true}, 5, 2, 2), 0, maxRows, perToken) {
				if len(p.Tokens) > maxRows {
					t.Errorf("%d rows in a micro-batch of at most %d", len(p.Tokens), maxRows)
				}
				tokens, weights, seeds = append(tokens, p.Tokens...), append(weights, p.Weights...), append(seeds, p.Seeds...)
			}
			return
		}
		t1, w1, k1 := join(100)
		t2, w2, k2 := join(7)
		if !slices.Equal(t1, t2) || !slices.Equal(w1, w2) || !slices.Equal(k1, k2) {
			t.Error("the split changed tokens, weights or seeds")
		}
		sum := 0.0
		for _, w := range w1 {
			sum += float64(w)
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("the weights of a step sum to %v", sum)
		}
	}
}

func TestEpochsAndRemainder(t *testing.T) {
	set := smallSet(t)
	if b := newBatcher(set, job.Data{DropRemainder: true}, 1, 2, 1); b.StepsPerEpoch() != 2 {
		t.Errorf("5 rows in twos, remainder dropped: %d steps", b.StepsPerEpoch())
	}
	b := newBatcher(set, job.Data{Shuffle: true}, 1, 2, 1)
	if b.StepsPerEpoch() != 3 || len(rowsOf(b, 2)) != 1 {
		t.Fatalf("5 rows in twos: %d steps, the last of %d", b.StepsPerEpoch(), len(rowsOf(b, 2)))
	}
	epoch := func(first int) []int {
		return slices.Concat(rowsOf(b, first), rowsOf(b, first+1), rowsOf(b, first+2))
	}
	one, two := slices.Clone(epoch(0)), slices.Clone(epoch(3))
	if !slices.Equal(one, dataset.Shuffle(5, 1, 1)) || !slices.Equal(two, dataset.Shuffle(5, 1, 2)) {
		t.Errorf("epochs %v and %v", one, two)
	}
	if !slices.Equal(epoch(0), one) {
		t.Error("going back to an earlier step gives other rows")
	}
}

func TestSeedsDiffer(t *testing.T) {
	b := newBatcher(smallSet(t), job.Data{}, 1, 2, 1)
	seen := map[uint64]bool{}
	for step := range 3 {
		for _, p := range packed(b, step, 100, false) {
			for _, k := range p.Seeds {
				if seen[k] {
					t.Fatal("two rows share a seed")
				}
				seen[k] = true
			}
		}
	}
}

// num_samples counts after the shuffle; full-batch mode shuffles the order of
// the epoch before; without a shuffle rows keep the order of the file.
func TestOrders(t *testing.T) {
	set := smallSet(t)
	b := newBatcher(set, job.Data{Shuffle: true, Samples: 3}, 1, 3, 1)
	if b.Len() != 3 || b.StepsPerEpoch() != 1 || !slices.Equal(rowsOf(b, 0), dataset.Shuffle(5, 1, 1)[:3]) {
		t.Errorf("3 samples: %d rows, %v", b.Len(), rowsOf(b, 0))
	}
	b = NewBatcher(set, &job.Job{Seed: 1, BatchSize: 5, GradAccum: 1, TrainData: job.Data{Shuffle: true}, Devices: job.Devices{Count: 1, Mode: "semi", FullBatch: true}})
	if !slices.Equal(rowsOf(b, 1), dataset.ShuffleCompound(5, 1, 2)) {
		t.Errorf("second epoch in full-batch mode %v", rowsOf(b, 1))
	}
	b = NewBatcher(set, &job.Job{Seed: 1, BatchSize: 1, GradAccum: 1, TrainData: job.Data{Shuffle: true, Order: "generator"}, Devices: job.Devices{Count: 2, Mode: "data", Shard: "block"}})
	if o := dataset.ShuffleGenerated(5, 1, 2, true); !slices.Equal(rowsOf(b, 4), []int{o[2], o[3]}) { // every second row, whatever shard_by says
		t.Errorf("CommonDataLoader on two devices: %v of %v", rowsOf(b, 4), o)
	}
	b = newBatcher(set, job.Data{Samples: 99}, 1, 5, 1)
	if !slices.Equal(rowsOf(b, 7), []int{0, 1, 2, 3, 4}) || b.Set() != set {
		t.Errorf("unshuffled %v", rowsOf(b, 7))
	}
}

// A row that is longer than the trainer's arena is refused as wrong input; one
// without supervised tokens is left out.
func TestFits(t *testing.T) {
	p := NewPacker(3)
	p.Add(dataset.Row{Tokens: []int32{1, 2, 3, 4, 5}, Labels: []int32{1, 2, 3, 4, 5}}, 1, 0)
	p.Add(dataset.Row{Tokens: []int32{1, 2}, Labels: []int32{1, dataset.Ignore}}, 1, 0)
	p.Add(dataset.Row{Tokens: []int32{1, 2}, Labels: []int32{dataset.Ignore, 2}}, 1, 0)
	list := p.Done()
	if len(list) != 2 || len(list[0].Tokens) != 4 || len(list[1].Tokens) != 1 {
		t.Fatalf("%d micro-batches", len(list))
	}
	if err := CheckFits(list, 4); err != nil {
		t.Error(err)
	}
	if err := CheckFits(list, 3); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "has 4 tokens") {
		t.Errorf("%v", err)
	}
}
