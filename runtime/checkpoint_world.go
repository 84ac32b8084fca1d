package rt

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"lorac/kernels"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/sys/version"
	"lorac/runtime/train"
	"lorac/runtime/weights/peft"
)

// begin resumes, where that is asked for, and has all processes begin alike: with the
// same job, program, base and rows, and with the numbers that the first one read. Only
// the first reads and writes in output_dir, which others may not even see.
func (c *checkpoints) begin(w *world, metrics string) (step int, err error) {
	c.world = w
	if err = c.checkRanks(); err == nil {
		c.id, err = c.identify()
	}
	if err = w.together(err); err == nil && !w.alone() {
		err = w.g.Agree(c.facts())
		w.failed = err != nil
	}
	if err != nil {
		return 0, err
	}
	if w.first() {
		if err = train.CheckUnused(metrics); err == nil {
			step, err = c.resume()
		}
		if err == nil && step == 0 {
			if err = c.weights.startOfBase(); err == nil {
				err = c.weights.startMagnitudes()
			}
		}
	}
	if err = w.together(err); err != nil || w.alone() {
		return step, err
	}
	return c.receive(w, step)
}

// facts are what must be the same in all processes of a run.
func (c *checkpoints) facts() []comm.Fact {
	list := []comm.Fact{{Name: "release of lorac", Value: version.String()}, {Name: "instruction set", Value: kernels.Units()}}
	for _, x := range c.job.Facts() {
		list = append(list, comm.Fact{Name: x.Key, Value: x.Value})
	}
	list = append(list, comm.Fact{Name: "rows of the data", Value: fmt.Sprintf("%+v", c.id.Rows)})
	for _, name := range slices.Sorted(maps.Keys(c.id.Tokenizer)) {
		list = append(list, comm.Fact{Name: "tokenizer, " + name, Value: fmt.Sprintf("%+v", c.id.Tokenizer[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(c.id.Base)) {
		list = append(list, comm.Fact{Name: "base, " + publicName(name), Value: fmt.Sprintf("%+v", *c.id.Base[name])})
	}
	return append(list, comm.Fact{Name: "steps", Value: fmt.Sprint(c.steps)}, // these follow from the others, which say more
		comm.Fact{Name: "program", Value: c.job.Hash}, comm.Fact{Name: "largest micro-batch", Value: fmt.Sprint(c.job.MaxRows)})
}

// start is where a run begins.
type start struct {
	Step  int
	Scale string // of the scaler
}

// receive brings what trains, the optimizer's states and the position from the first
// process to the others.
func (c *checkpoints) receive(w *world, step int) (int, error) {
	all, err := share(w, start{step, c.scaler.State()})
	if err != nil {
		return 0, err
	}
	if at := all[0]; !w.first() && at.Step > 0 {
		if err := c.scaler.Restore(at.Scale); err != nil {
			return 0, exit.With(exit.Failed, err)
		}
	}
	stacks := slices.Clone(c.weights.fixed) // which may have trained before
	for _, p := range c.parts() {
		if p.s.shared == nil {
			stacks = append(stacks, p.s)
		}
	}
	for _, s := range stacks {
		b := peft.Bytes(s.Data)
		got, err := w.g.Broadcast(0, b)
		if err != nil {
			return 0, err
		}
		copy(b, got)
	}
	if all[0].Step > 0 {
		err = c.receiveShares(w)
	}
	return all[0].Step, err
}

// checkSame refuses parameters that differ between processes, whose stacks are up to date: all of them take the
// same steps, so a processor or memory is broken, or one of them is no such program.
func (c *checkpoints) checkSame(w *world, step int) error {
	if w.alone() {
		return nil
	}
	sum := crc32.NewIEEE()
	for _, p := range c.parts() {
		if p.s.shared == nil {
			sum.Write(peft.Bytes(p.s.Data))
		}
	}
	all, err := share(w, sum.Sum32())
	if err != nil {
		return err
	}
	for i, x := range all {
		if x != all[0] {
			return exit.Failedf("after step %d, the parameters of process %d on %s are not those of the first process on %s: a processor or its memory is faulty\n  = help: %s; leave that host out", step, i, w.g.Host(i), w.g.Host(0), goodUpTo(c.last()))
		}
	}
	return nil
}
