package rt

import (
	"time"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// A step that is given up where several processes share each row: what the last finished
// step left is in all processes of the first lane, whose runs wait for each other in the
// middle of the next one. Beside each a goroutine waits for the first process, and brings
// its part. So it is where lanes have shares of the optimizer's states, in the first that
// together have all of them. No process begins to change its state before the first one does (proceed), and
// that one does not where it gives the step up: so all have the state of the same step.

// shared reports whether several processes share each row, or the states.
func (w *world) shared() bool { return w.lanes < w.size() || w.shares > 1 }

// proceed has all processes wait for the first one, which holds its gate, to end a step.
func (w *world) proceed() error {
	if w.alone() || !w.shared() {
		return nil
	}
	_, err := w.g.Broadcast(0, []byte{1})
	return err
}

// listen has the processes of the first lanes hear when the first one gives a step up.
func (w *world) listen(l *Loop) {
	if w.alone() || !w.shared() || !w.set {
		return
	}
	w.listening = true
	if w.first() {
		return
	}
	code := make([]int64, 1)
	list := []comm.Transfer{comm.Of(false, 0, code)}
	list[0].Patient = true
	f, err := w.aside.Begin(list)
	if err != nil {
		return // the run ends by the same
	}
	go func() {
		for { // it is no wait that the others should know of
			done, err := f.Done()
			if err != nil {
				return
			}
			if done {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if code[0] != 0 {
			l.stop.adopt(int(code[0]))
			l.gate.mu.Lock()
			l.gate.closed = true
			if d, ok := l.weights.dev.(sharing); ok {
				d.Aside()
			}
			l.concludeCaught() // the first process says what is wrong
		}
	}()
}

// giveUp has the other processes of the lane bring what they have of the last finished
// step. code is what asks for the end; 0 ends their waiting.
func (w *world) giveUp(code int) error {
	if !w.listening || !w.first() {
		return nil
	}
	w.listening = false
	said := []int64{int64(code)}
	var list []comm.Transfer
	for r := 1; r < w.aside.Size(); r++ {
		list = append(list, comm.Of(true, r, said))
	}
	return exit.With(exit.Failed, w.aside.Exchange(list))
}
