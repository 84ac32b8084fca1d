package dataset

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Written down from libstdc++'s std::shuffle over its default_random_engine.
// Epoch 0 leaves the seed as it is.
func TestShuffle(t *testing.T) {
	for _, c := range []struct {
		n, seed, epoch int
		want           []int
	}{
		{0, 1, 1, []int{}},
		{1, 42, 1, []int{0}},
		{2, 0, 0, []int{1, 0}},
		{5, 42, 0, []int{4, 0, 3, 1, 2}},
		{10, 43, 0, []int{7, 9, 5, 3, 0, 6, 4, 1, 8, 2}},
		{10, 42, 1, []int{7, 9, 5, 3, 0, 6, 4, 1, 8, 2}}, // seed+epoch
		{10, 0, 2, []int{8, 0, 4, 7, 1, 9, 6, 5, 2, 3}},
		{11, 1234, 0, []int{2, 4, 5, 10, 9, 1, 0, 8, 7, 3, 6}},
		{10, 1<<31 - 1, 0, []int{2, 7, 1, 6, 8, 0, 4, 9, 5, 3}}, // as seed 0: the modulus
		{10, 1<<32 - 1, 1, []int{2, 7, 1, 6, 8, 0, 4, 9, 5, 3}}, // the sum wraps at 32 bits
	} {
		if got := Shuffle(c.n, c.seed, c.epoch); !slices.Equal(got, c.want) {
			t.Errorf("%d rows, seed %d, epoch %d: %v, want %v", c.n, c.seed, c.epoch, got, c.want)
		}
	}
	// Up to 46340 rows one draw makes two positions, above that one. FNV-1a over
	// the order as little-endian int64.
	for _, c := range []struct {
		n, seed int
		hash    uint64
	}{
		{40000, 1, 0x011d1145f5be721d}, {40000, 43, 0x6003fc5e1aa9dd01}, {46340, 1, 0xd11eaa412872e275}, {46340, 43, 0xa349fa0e25a386e9},
		{46341, 1, 0x1c231832da6d4c92}, {46341, 43, 0x4c9b658a6aa017b2}, {100000, 1, 0x8af679ad00e2d9d5}, {100000, 43, 0x4430198b58224f79},
	} {
		h := fnv.New64a()
		for _, x := range Shuffle(c.n, c.seed, 0) {
			binary.Write(h, binary.LittleEndian, int64(x))
		}
		if h.Sum64() != c.hash {
			t.Errorf("%d rows, seed %d: hash %016x, want %016x", c.n, c.seed, h.Sum64(), c.hash)
		}
	}
}

// Worked out by hand from the permutations above: 10 rows, seed 0.
func TestShuffleCompound(t *testing.T) {
	first, second := []int{2, 7, 1, 6, 8, 0, 4, 9, 5, 3}, []int{5, 2, 8, 9, 7, 3, 4, 0, 1, 6}
	if got := ShuffleCompound(10, 0, 1); !slices.Equal(got, first) {
		t.Errorf("epoch 1: %v", got)
	}
	if got := ShuffleCompound(10, 0, 2); !slices.Equal(got, second) {
		t.Errorf("epoch 2: %v", got)
	}
}

// Lists of 3 devices over 8 rows, ⌈8/3⌉ each, by hand.
func TestShard(t *testing.T) {
	order := []int{10, 11, 12, 13, 14, 15, 16, 17}
	for d, want := range [][2][]int{{{10, 11, 12}, {10, 13, 16}}, {{13, 14, 15}, {11, 14, 17}}, {{16, 17, 10}, {12, 15, 10}}} {
		if block, stride := Shard(order, d, 3, false), Shard(order, d, 3, true); !slices.Equal(block, want[0]) || !slices.Equal(stride, want[1]) {
			t.Errorf("device %d: blocks %v, stride %v", d, block, stride)
		}
	}
}

func TestShuffleVectors(t *testing.T) {
	f, err := os.Open("../../../../shared/reference/vectors/mindrecord_shuffle.txt")
	if err != nil {
		t.Skip("the vectors of libstdc++ are not here:", err)
	}
	defer f.Close()
	seen := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		switch w[0] {
		case "perm": // n, seed, values
			if got := Shuffle(number(t, w[1]), number(t, w[2]), 0); !slices.Equal(got, numbers(t, w[3:])) {
				t.Errorf("%s: got %v", lines.Text(), got)
			}
		case "hash": // n, seed, a hash (TestShuffle has its own), first, 8 values, last, 8 values
			got := Shuffle(number(t, w[1]), number(t, w[2]), 0)
			if !slices.Equal(got[:8], numbers(t, w[5:13])) || !slices.Equal(got[len(got)-8:], numbers(t, w[14:22])) {
				t.Errorf("%s: got %v … %v", lines.Text(), got[:8], got[len(got)-8:])
			}
		case "epoch": // n, dsseed=, epoch=, values: full-batch mode
			got := ShuffleCompound(number(t, w[1]), number(t, strings.TrimPrefix(w[2], "dsseed=")), number(t, strings.TrimPrefix(w[3], "epoch=")))
			if !slices.Equal(got, numbers(t, w[4:])) {
				t.Errorf("%s: got %v", lines.Text(), got)
			}
		case "dist": // n, dsseed=, epoch=, shard=k/4, values: all shards together are the order, wrapped around
			n := number(t, w[1])
			order := Shuffle(n, number(t, strings.TrimPrefix(w[2], "dsseed=")), number(t, strings.TrimPrefix(w[3], "epoch=")))
			shard := number(t, strings.TrimSuffix(strings.TrimPrefix(w[4], "shard="), "/4"))
			if got := Shard(order, shard, 4, false); !slices.Equal(got, numbers(t, w[5:])) {
				t.Errorf("%s: got %v", lines.Text(), got)
			}
		}
		seen[w[0]]++
	}
	if seen["perm"] < 50 || seen["hash"] < 10 || seen["dist"] < 20 || seen["epoch"] < 6 {
		t.Errorf("only %v were compared", seen)
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func numbers(t *testing.T, words []string) (list []int) {
	for _, w := range words {
		list = append(list, number(t, w))
	}
	return list
}

// Orders of MindSpore 2.7's GeneratorDataset.
func TestShuffleGenerated(t *testing.T) {
	for _, c := range []struct {
		n, seed, epoch int
		cut            bool
		want           string
	}{
		{10, 0, 1, true, "[9 0 2 5 7 4 6 3 1 8]"},
		{10, 0, 3, true, "[0 9 3 7 5 6 8 2 4 1]"},
		{10, 1234, 1, false, "[5 3 0 8 2 7 1 6 4 9]"},
		{11, 1234, 2, false, "[1 10 4 5 8 6 2 7 9 3]"},
		{1000, 1, 3, true, "[899 908 897 642 186 574 379 127 734 515]"},
		{70001, 7, 1, true, "[47136 20016 17834 41791 9204 62734 63961 13198 30790 64994]"},
		{1, 1, 2, true, "[0]"},
	} {
		order := ShuffleGenerated(c.n, c.seed, c.epoch, c.cut)
		if got := fmt.Sprint(order[:min(10, c.n)]); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
