package rt

import (
	"encoding/binary"
	"io"
	"math"
	"slices"

	"lorac/runtime/exit"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
)

// Shared is an optimizer state of which each process has a share. A checkpoint holds it
// whole: it is put together tensor by tensor as that is written, so that no process needs
// the memory of all.
type Shared interface {
	// Tensor puts tensor i together, until the next call. All processes that have shares
	// call it.
	Tensor(i int) []float32
	// Take leaves this process its share of tensor i.
	Take(i int, x []float32)
	// Own is the share of this process.
	Own() []float32
}

// sharedStates lists the states of which processes have shares, the same in all of them.
func (c *checkpoints) sharedStates() (out []*Stack) {
	c.states(func(_ string, s *Stack) {
		if s.shared != nil {
			out = append(out, s)
		}
	})
	return out
}

// tensor is tensor i of a stack. Of a state that is shared the first process asks the
// others for what they have.
func (c *checkpoints) tensor(s *Stack, i int) ([]float32, error) {
	if s.shared == nil {
		return s.Mat(i).Data, nil
	}
	said := binary.LittleEndian.AppendUint32(nil, uint32(slices.Index(c.sharedStates(), s)))
	if _, err := c.world.aside.Broadcast(0, binary.LittleEndian.AppendUint32(said, uint32(i))); err != nil {
		return nil, exit.With(exit.Failed, err)
	}
	x := s.shared.Tensor(i)
	if badAt(x, math.MaxFloat32) >= 0 {
		return nil, exit.Failedf("the optimizer's state of %s is not finite; training has diverged, and no checkpoint is written\n  = help: lower the learning rate; %s", publicName(s.Names[i]), finiteUpTo(c.last()))
	}
	return x, nil
}

// answer brings what this process has of the tensors that the first one asks for, until
// that has written its checkpoint.
func (c *checkpoints) answer() error {
	list := c.sharedStates()
	for len(list) > 0 && c.world.set {
		said, err := c.world.aside.Broadcast(0, nil)
		if err != nil {
			return exit.With(exit.Failed, err)
		}
		if len(said) < 8 {
			break
		}
		list[binary.LittleEndian.Uint32(said)].shared.Tensor(int(binary.LittleEndian.Uint32(said[4:])))
	}
	return nil
}

// asked ends the answers of the others.
func (c *checkpoints) asked() error {
	if len(c.sharedStates()) == 0 {
		return nil
	}
	_, err := c.world.aside.Broadcast(0, nil)
	return exit.With(exit.Failed, err)
}

// write writes all tensors of a stack.
func (c *checkpoints) write(w io.Writer, s *Stack) error {
	if s.shared == nil {
		_, err := w.Write(peft.Bytes(s.Data))
		return err
	}
	for i := range s.Names {
		if err := c.writeTensor(w, s, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *checkpoints) writeTensor(w io.Writer, s *Stack, i int) error {
	x, err := c.tensor(s, i)
	if err == nil {
		_, err = w.Write(peft.Bytes(x))
	}
	return err
}

// entries are the tensors of a state in a MindSpore checkpoint.
func (c *checkpoints) entries(prefix string, s *Stack) []mindspore.Entry {
	out := s.entries(prefix)
	for i := range out {
		if s.shared != nil {
			out[i].Write = func(w io.Writer) error { return c.writeTensor(w, s, i) }
		}
	}
	return out
}

// found is a tensor of a checkpoint, for a state of which processes have shares. They take
// them where all begin (receive).
type found struct {
	dtype string
	data  []byte
}

// place is a tensor of a stack.
type place struct {
	s *Stack
	i int
}

// note notes tensor i of a state that is shared.
func (c *checkpoints) note(s *Stack, i int, dtype string, data []byte) {
	if c.found == nil {
		c.found = map[place]found{}
	}
	c.found[place{s, i}] = found{dtype, data}
}

// keepOpen closes the file of a checkpoint, at once or where all have their shares of it.
func (c *checkpoints) keepOpen(close func()) {
	if len(c.found) == 0 {
		close()
		return
	}
	c.close = close
}

// receiveShares brings each process its share of the states that the first one found.
func (c *checkpoints) receiveShares(w *world) error {
	for _, s := range c.sharedStates() {
		for i := range s.Names {
			var whole []byte
			if f, ok := c.found[place{s, i}]; ok {
				x := make([]float32, s.Rows*s.Cols)
				peft.Into(x, f.dtype, f.data)
				whole = peft.Bytes(x)
			}
			got, err := w.g.Broadcast(0, whole)
			if err != nil {
				return err
			}
			if len(got) > 0 { // else it begins at zero
				x := make([]float32, s.Rows*s.Cols)
				copy(peft.Bytes(x), got)
				s.shared.Take(i, x)
			}
		}
	}
	if c.close != nil {
		c.close()
	}
	c.found, c.close = nil, nil
	return nil
}
