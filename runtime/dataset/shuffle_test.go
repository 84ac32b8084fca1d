package dataset

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestShuffleVectors(t *testing.T) {
	f, err := os.Open("../../../shared/reference/vectors/mindrecord_shuffle.txt")
	if os.IsNotExist(err) {
		t.Skip("the vectors of libstdc++ are not here")
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		if len(w) < 4 || w[0] != "perm" {
			continue
		}
		size, _ := strconv.Atoi(w[1])
		seed, _ := strconv.ParseUint(w[2], 10, 64)
		if len(w) != 3+size {
			continue
		}
		var want []int
		for _, s := range w[3:] {
			v, _ := strconv.Atoi(s)
			want = append(want, v)
		}
		if got := Shuffle(size, int(seed), 0); !slices.Equal(got, want) {
			t.Fatalf("%d rows, seed %d: got %v, libstdc++ gives %v", size, seed, got, want)
		}
		n++
	}
	if n < 50 {
		t.Fatalf("only %d vectors were compared", n)
	}
}

// Written down from libstdc++, so that the order is pinned without the file of vectors.
func TestShuffleKnown(t *testing.T) {
	seen := map[int]bool{}
	for _, i := range Shuffle(1000, 42, 1) {
		seen[i] = true
	}
	if len(seen) != 1000 {
		t.Fatal("not a permutation")
	}
	if got := Shuffle(2, 0, 0); !slices.Equal(got, []int{1, 0}) {
		t.Fatalf("two rows, seed 0: %v", got)
	}
}
