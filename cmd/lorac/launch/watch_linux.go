package launch

import (
	"slices"
	"syscall"
	"time"
)

// watch finds which process of a job ends first. Launchers name any of those that they
// end themselves then.
type watch struct {
	epoll int
	known map[int]int // file descriptors of processes, by rank
	first int         // rank; -1: none has ended
	near  []int       // ranks that ended within nearby of the first
	stop  chan struct{}
	done  chan struct{} // closed when one has ended
}

const pidfdOpen = 434 // on every processor

// watchRanks watches the processes that ranks gives as they come.
func watchRanks(ranks func() map[int]int) *watch {
	w := &watch{known: map[int]int{}, first: -1, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	if w.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		close(w.done)
		return w
	}
	go func() {
		defer close(w.done)
		events := make([]syscall.EpollEvent, 1) // the system has them in order
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			if n, _ := syscall.EpollWait(w.epoll, events, 50); n == 1 {
				w.first = int(events[0].Pad)
				w.collect()
				return
			}
			w.add(ranks())
		}
	}()
	return w
}

// collect finds the ranks that ended within nearby of the first.
func (w *watch) collect() {
	time.Sleep(nearby)
	events := make([]syscall.EpollEvent, len(w.known))
	n, _ := syscall.EpollWait(w.epoll, events, 0)
	for _, e := range events[:max(n, 0)] {
		if rank := int(e.Pad); rank != w.first {
			w.near = append(w.near, rank)
		}
	}
	slices.Sort(w.near)
}

func (w *watch) add(ranks map[int]int) {
	for rank, pid := range ranks {
		if _, ok := w.known[rank]; ok || pid == 0 {
			continue
		}
		fd, _, errno := syscall.Syscall(pidfdOpen, uintptr(pid), 0, 0)
		switch {
		case errno == syscall.ESRCH && w.first < 0:
			w.first = rank
			return
		case errno != 0:
			return
		}
		w.known[rank] = int(fd)
		syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd), Pad: int32(rank)}) //nolint:errcheck // it is not watched
	}
}

// end is the rank that ended first, -1 where that is not known, and those that ended so
// soon after it that they may have been before it.
func (w *watch) end() (first int, near []int) {
	close(w.stop)
	<-w.done
	for _, fd := range w.known {
		syscall.Close(fd)
	}
	if w.epoll > 0 {
		syscall.Close(w.epoll)
	}
	return w.first, w.near
}
