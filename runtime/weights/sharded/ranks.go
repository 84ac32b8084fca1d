package sharded

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/weights/mindspore"
)

// RankDirs lists the directories rank_N below dir, by N.
func RankDirs(dir string) (map[int]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	for _, e := range list {
		digits, ok := strings.CutPrefix(e.Name(), "rank_")
		n, err := strconv.ParseUint(digits, 10, 24)
		if ok && err == nil && strconv.FormatUint(n, 10) == digits {
			out[int(n)] = filepath.Join(dir, e.Name())
		}
	}
	return out, nil
}

// candidate is a checkpoint of a rank. key is its name without the rank number,
// which is equal for all ranks of one save.
type candidate struct {
	path, key   string
	series      string // of the runs of one job: what the name has before their number
	when        int64
	run         int // PREFIX_rank_0_RUN-EPOCH_STEP, 0 for the first
	epoch, step int
}

var numbered = regexp.MustCompile(`-(\d{1,9})_(\d{1,9})\.(?:ckpt|safetensors)$`)

// candidates lists the checkpoints of a rank, .ckpt or (MindFormers since r1.3)
// .safetensors, newest first. Those of one job are ordered by the numbers in their
// names (run, epoch and step), which a copy keeps, jobs by the time of their newest file.
func candidates(dir string, rank int) ([]candidate, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []candidate
	newest := map[string]int64{} // by series
	for _, e := range list {
		if !mindspore.IsCheckpoint(e.Name()) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			continue
		}
		c := candidate{path: filepath.Join(dir, e.Name()), series: e.Name(), when: info.ModTime().UnixNano()}
		c.key = strings.ReplaceAll(e.Name(), fmt.Sprintf("rank_%d", rank), "rank_#")
		ext := filepath.Ext(e.Name())
		c.key = strings.Replace(c.key, fmt.Sprintf("_%d%s", rank, ext), "_#"+ext, 1)
		if m := numbered.FindStringSubmatch(e.Name()); m != nil {
			c.key = strings.ReplaceAll(e.Name(), fmt.Sprintf("rank_%d", rank), "rank_#") // keeps epoch and step, as in -1_2.ckpt
			c.epoch, _ = strconv.Atoi(m[1])
			c.step, _ = strconv.Atoi(m[2])
			c.series = strings.TrimSuffix(e.Name(), m[0])
			if base, run, ok := strings.Cut(c.series, fmt.Sprintf("_rank_%d_", rank)); ok {
				if n, err := strconv.ParseUint(run, 10, 24); err == nil {
					c.series, c.run = fmt.Sprintf("%s_rank_%d", base, rank), int(n)
				}
			}
		}
		newest[c.series] = max(newest[c.series], c.when)
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b candidate) int {
		if a.series == b.series {
			return cmp.Or(b.run-a.run, b.epoch-a.epoch, b.step-a.step, cmp.Compare(b.when, a.when))
		}
		return cmp.Or(cmp.Compare(newest[b.series], newest[a.series]), b.run-a.run, b.epoch-a.epoch, b.step-a.step, strings.Compare(a.series, b.series))
	})
	return out, nil
}

// Newest is the newest checkpoint of one rank.
func Newest(dir string, rank int) (string, error) {
	list, err := candidates(dir, rank)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", fmt.Errorf("%s holds no .ckpt file, and no .safetensors", dir)
	}
	return list[0].path, nil
}

// Extension is that of the newest file of a checkpoint of one or several ranks.
func Extension(path string) string {
	if mindspore.IsCheckpoint(path) {
		return filepath.Ext(path)
	}
	if d, err := mindspore.FindDirectory(path); err == nil && d != nil {
		return mindspore.Suffix
	}
	dirs, err := RankDirs(path)
	if err != nil || len(dirs) == 0 {
		dirs = map[int]string{0: path}
	}
	rank := slices.Sorted(maps.Keys(dirs))[0]
	if newest, err := Newest(dirs[rank], rank); err == nil {
		return filepath.Ext(newest)
	}
	return ".ckpt"
}

// All are the checkpoints of one rank, newest first.
func All(dir string, rank int) ([]string, error) {
	list, err := candidates(dir, rank)
	var out []string
	for _, c := range list {
		out = append(out, c.path)
	}
	return out, err
}

// choose selects one file per rank: those of the newest save that every rank has, or
// those of the given name (with any rank number in it).
func choose(dirs map[int]string, name string) (map[int]string, error) {
	have := map[string]map[int]string{} // by key
	var order []string
	var first []candidate
	lowest := -1
	for _, rank := range slices.Sorted(maps.Keys(dirs)) {
		list, err := candidates(dirs[rank], rank)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s holds no .ckpt file, and no .safetensors", dirs[rank])
		}
		if lowest < 0 {
			lowest, first = rank, list
		}
		for _, c := range list {
			if have[c.key] == nil {
				have[c.key] = map[int]string{}
			}
			have[c.key][rank] = c.path
			if base := filepath.Base(c.path); name != "" && (base == name || strings.TrimSuffix(base, filepath.Ext(base)) == name) {
				order = []string{c.key}
			}
		}
	}
	if name != "" && len(order) == 0 {
		return nil, fmt.Errorf("no rank has a file %s", name)
	}
	if name == "" {
		for _, c := range first {
			order = append(order, c.key)
		}
	}
	for _, key := range order {
		if len(have[key]) == len(dirs) {
			return have[key], nil
		}
	}
	key := order[0]
	for _, rank := range slices.Sorted(maps.Keys(dirs)) {
		if have[key][rank] == "" {
			return nil, fmt.Errorf("%s has no file %s, and no other save is complete, either", dirs[rank], strings.ReplaceAll(key, "#", strconv.Itoa(rank)))
		}
	}
	return nil, fmt.Errorf("BUG: strategy: no file of %v was chosen", dirs)
}
