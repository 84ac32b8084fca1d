package rt

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/spell"
	"lorac/runtime/weights/naming"
)

// difference is a fact that is another one than a checkpoint knows: the name by which
// --resume_mismatch accepts it, and both values.
type difference struct{ key, text string }

// differences lists what is not as in the checkpoint, and changed what may be so.
// unknown are facts that the checkpoint, of another lorac, does not know.
func (f *identity) differences(was *identity, data *dataset.Set, ofItself bool) (list, changed []difference, unknown []string) {
	sameLorac := f.Lorac == was.Lorac
	keys := func(was, is map[string]string, to *[]difference) {
		for _, key := range sorted(was, is) {
			a, hadIt := was[key]
			b, hasIt := is[key]
			shownA, shownB := job.Shown(key, a), job.Shown(key, b)
			switch {
			case hadIt && hasIt && a == b:
			case hadIt && hasIt:
				*to = append(*to, difference{key, fmt.Sprintf("%s in the checkpoint, %s now", shownA, shownB)})
			case !sameLorac:
				unknown = append(unknown, key)
			case hadIt:
				*to = append(*to, difference{key, fmt.Sprintf("%s in the checkpoint, not set now", shownA)})
			default:
				*to = append(*to, difference{key, fmt.Sprintf("not set in the checkpoint, %s now", shownB)})
			}
		}
	}
	a, b := scaleSense(was.Same, f.Same)
	if was.Free[devicesKey] == "1" || f.Free[devicesKey] == "1" { // which one device does not have
		delete(a, "parallel.full_batch")
		delete(b, "parallel.full_batch")
	}
	keys(a, b, &list)
	keys(was.Free, f.Free, &changed)
	causesFirst(list)
	if len(list) == 0 && was.Graph != f.Graph {
		if sameLorac {
			list = append(list, difference{"graph", fmt.Sprintf("%s in the checkpoint, %s now, though all keys are the same: a dump was edited, or passes were switched off", was.Graph, f.Graph)})
		} else {
			unknown = append(unknown, "graph")
		}
	}
	if !ofItself {
		// Which parameters train, and which adapters there are, follows from these keys.
		others := slices.ContainsFunc(list, func(d difference) bool { return strings.HasPrefix(d.key, "model.model_config.pet_config.") })
		if d := f.otherBase(was, others); d != "" {
			list = append(list, difference{"base", d})
		}
	}
	if d := otherFiles(was.Tokenizer, f.Tokenizer); d != "" && f.Text {
		list = append(list, difference{"tokenizer", d})
	} else if d != "" {
		changed = append(changed, difference{"tokenizer", d + " (the rows are ids, so it makes none of them)"})
	}
	if d := data.Difference(was.Rows); d != "" {
		if was.RowsFrom != f.RowsFrom {
			d += fmt.Sprintf(" (the checkpoint's were from %s)", was.RowsFrom)
		}
		list = append(list, difference{"rows", d})
	}
	return list, changed, unknown
}

// causesFirst puts classes before the keys that come and go with them.
func causesFirst(list []difference) {
	slices.SortStableFunc(list, func(a, b difference) int {
		rank := func(d difference) int {
			if strings.HasSuffix(d.key, ".type") {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
}

// devicesKey is the fact of how many devices a job has.
const devicesKey = "devices"

// scaleKey is the key of the loss scale: a number, or a class with keys of its own.
const scaleKey = "runner_wrapper.scale_sense"

// scaleSense has facts with the loss scale under one key where one of the two has a
// number, as configs do.
func scaleSense(was, is map[string]string) (a, b map[string]string) {
	a, b = maps.Clone(was), maps.Clone(is)
	if was[scaleKey+".type"] != "static" && is[scaleKey+".type"] != "static" {
		return a, b
	}
	for _, m := range []map[string]string{a, b} {
		switch class := m[scaleKey+".type"]; {
		case class == "":
			continue
		case class == "static":
			m[scaleKey] = m[scaleKey+".loss_scale_value"]
			if m[scaleKey] == "0" {
				m[scaleKey] = "not set"
			}
		default:
			m[scaleKey] = map[string]string{"dynamic": "DynamicLossScaleUpdateCell", "adaptive": "AdaptiveLossScaleUpdateCell"}[class]
		}
		maps.DeleteFunc(m, func(key, _ string) bool { return strings.HasPrefix(key, scaleKey+".") })
	}
	return a, b
}

// otherBase names the first tensor of the base that differs. others says that what trains
// is not the same: then tensors that only one has are not looked at.
func (f *identity) otherBase(was *identity, others bool) string {
	first, n, all := "", 0, 0
	spelled := func(s *tensorSum, digest string) string {
		if s == nil {
			return "missing"
		}
		return fmt.Sprintf("%s %v, digest %s", s.Type, s.Shape, digest)
	}
	for _, name := range sorted(was.Base, f.Base) {
		a, b := was.Base[name], f.Base[name]
		if others && (a == nil || b == nil) {
			continue
		}
		all++
		if a != nil && b != nil && a.Type == b.Type && slices.Equal(a.Shape, b.Shape) && a.Sample == b.Sample && (a.Whole == b.Whole || a.Whole == "" || b.Whole == "") {
			continue
		}
		n++
		if first != "" {
			continue
		}
		of := func(s *tensorSum) string {
			switch {
			case s == nil:
				return ""
			case a != nil && b != nil && a.Sample == b.Sample && a.Whole != "" && b.Whole != "":
				return s.Whole
			}
			return s.Sample
		}
		shown := name
		if hf := naming.HF(name); hf != "" {
			shown = hf
		}
		first = fmt.Sprintf("%s is %s in the checkpoint (from %s), %s in %s", shown, spelled(a, of(a)), was.BaseFrom, spelled(b, of(b)), f.BaseFrom)
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s; %d of %d tensors differ", first, n, all)
}

// otherUnits says that the processor rounds in another way, where both sides know theirs.
func (f *identity) otherUnits(was *identity) string {
	if was.Units == f.Units || was.Units == "" || f.Units == "" {
		return ""
	}
	return fmt.Sprintf("resuming with other instructions: %s in the checkpoint, %s now: roundings differ from a run that was never stopped", was.Units, f.Units)
}

// otherFiles names the files of a tokenizer that differ.
func otherFiles(was, is map[string]fileSum) string {
	var out []string
	spelled := func(s fileSum, ok bool) string {
		if !ok {
			return "not there"
		}
		return fmt.Sprintf("%d bytes, sha256 %s", s.Size, s.Digest)
	}
	for _, name := range sorted(was, is) {
		a, had := was[name]
		b, has := is[name]
		if a != b || had != has {
			out = append(out, fmt.Sprintf("%s is %s in the checkpoint, %s now", name, spelled(a, had), spelled(b, has)))
		}
	}
	return strings.Join(out, "; ")
}

// sorted lists the keys of both maps.
func sorted[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// compare is an error where a checkpoint is of a run that differs in what the result
// depends on, unless the user accepts that. ofItself says that the base of this run is
// read from the checkpoint. It returns the rows that a step of that run had.
func (c *checkpoints) compare(path, stored string, ofItself bool) (batch int, err error) {
	c.notes = nil
	if !strings.HasPrefix(stored, "{") {
		return c.compareEarlier(path, stored)
	}
	was, err := parseIdentity(stored)
	if err != nil {
		return 0, err
	}
	if batch = job.StepRows(was.Same, was.Free); batch == 0 {
		return 0, errors.New("it does not say how many rows a step had")
	}
	list, changed, unknown := c.id.differences(was, c.rows, ofItself)
	if err := c.refuse(path, list, changed, was); err != nil {
		return 0, err
	}
	for _, d := range changed {
		c.notes = append(c.notes, fmt.Sprintf("resuming with another %s: %s", d.key, d.text))
	}
	if said := c.id.otherUnits(was); said != "" {
		c.notes = append(c.notes, said)
	}
	if len(unknown) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("the checkpoint was written by lorac %s; what it says cannot be compared of: %s", was.Lorac, strings.Join(unknown, ", ")))
	}
	if c.verify && !ofItself && slices.ContainsFunc(slices.Collect(maps.Values(was.Base)), func(s *tensorSum) bool { return s.Whole == "" }) {
		c.notes = append(c.notes, "the checkpoint was written without --verify_base: samples of the base's tensors are the same, all bytes cannot be compared")
	}
	if ofItself {
		c.id.Base = was.Base
	}
	return batch, nil
}

// earlier is how releases up to 0.1.0 tied a checkpoint to its job.
var earlier = regexp.MustCompile(`^[0-9a-z]+(@\S+)? seed=(\d+) batch=(\d{1,9})×(\d{1,9}) data=(\d{1,18})/(\d{1,18})$`)

// compareEarlier is compare for a checkpoint of an earlier release, which knows seed,
// batch size, and how many rows and tokens there were.
func (c *checkpoints) compareEarlier(path, stored string) (batch int, err error) {
	m := earlier.FindStringSubmatch(stored)
	if m == nil {
		return 0, errors.New("it does not say of which job it is")
	}
	release := strings.TrimPrefix(m[1], "@")
	if release == "" {
		release = "before 0.1.0"
	}
	was := &identity{Same: map[string]string{"seed": m[2]}}
	var list []difference
	if now := strconv.Itoa(c.job.Seed); m[2] != now {
		list = append(list, difference{"seed", fmt.Sprintf("%s in the checkpoint, %s now", m[2], now)})
	}
	if s := &c.rows.Stats; m[5] != strconv.Itoa(s.Rows) || m[6] != strconv.Itoa(s.Tokens) {
		list = append(list, difference{"rows", fmt.Sprintf("%s of %s tokens in the checkpoint, %d of %d tokens now", m[5], m[6], s.Rows, s.Tokens)})
	}
	if err := c.refuse(path, list, nil, was); err != nil {
		return 0, err
	}
	c.notes = append(c.notes, fmt.Sprintf("the checkpoint was written by lorac %s: it knows seed, batch size and numbers of rows and tokens; whether config, base, tokenizer and the rows themselves are the same cannot be compared", release))
	size, _ := strconv.Atoi(m[3])
	accum, _ := strconv.Atoi(m[4])
	if size < 1 || accum < 1 || size*accum > 1<<31 {
		return 0, errors.New("it does not say how many rows a step had")
	}
	return size * accum, nil
}

// parts of a run that --resume_mismatch accepts besides keys.
var comparedParts = []string{"base", "rows", "tokenizer", "graph"}

// refuse is the error of differences that the user did not accept.
func (c *checkpoints) refuse(path string, list, changed []difference, was *identity) error {
	known := sorted(was.Same, c.id.Same)
	known = append(append(append(known, scaleKey), sorted(was.Free, c.id.Free)...), comparedParts...)
	names := func(asked, key string) bool { return asked == key || strings.HasSuffix(key, "."+asked) }
	for _, a := range c.accept {
		if !slices.ContainsFunc(known, func(key string) bool { return names(a, key) }) {
			near := ""
			for _, key := range known {
				leaf := key[strings.LastIndexByte(key, '.')+1:]
				if near == "" && min(spell.Distance(a, key), spell.Distance(a, leaf)) <= max(1, len(a)/4) {
					near = "; did you mean " + key + "?"
				}
			}
			return exit.Usagef("--resume_mismatch %s: nothing of that name is compared%s\n  = help: it takes keys of the config, as optimizer.weight_decay, and %s", a, near, strings.Join(comparedParts, ", "))
		}
	}
	var lines, keys []string
	for _, d := range list {
		if slices.ContainsFunc(c.accept, func(a string) bool { return names(a, d.key) }) {
			c.accepted = true
			c.notes = append(c.notes, fmt.Sprintf("--resume_mismatch: resuming with another %s: %s", d.key, d.text))
			continue
		}
		keys = append(keys, d.key)
		if len(lines) < 12 {
			lines = append(lines, fmt.Sprintf("  %s: %s", d.key, d.text))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if n := len(keys) - len(lines); n > 0 {
		lines = append(lines, fmt.Sprintf("  … and %d more", n))
	}
	from := ""
	for _, dir := range []struct{ name, flag string }{{"adapter", "--load_adapter"}, {"model", "--load_checkpoint"}} {
		if trained := filepath.Join(c.job.Output, dir.name); disk.Exists(trained) {
			from += fmt.Sprintf("\n  = help: a new run may start from what was trained: %s %s with another --output_dir", dir.flag, trained)
		}
	}
	return exit.Inputf("%s was made by another job:\n%s\n  = help: give the run what the checkpoint has; or resume with what there is now, on purpose: --resume_mismatch %s%s",
		path, strings.Join(lines, "\n"), strings.Join(append(slices.Clone(c.accept), keys...), ","), from)
}
