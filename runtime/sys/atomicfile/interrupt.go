package atomicfile

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// writing are the temporary files of this process.
var writing sync.Map

// Ends are the signals that ask this process to end, but for those it was started
// to ignore: nohup does so with the one of a terminal that goes. SIGTERM is always
// among them, since Go lets nobody hand it down as ignored.
func Ends() (list []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// RemoveOnSignal has a signal that ends the process take what is half written
// with it.
func RemoveOnSignal() { removeOnSignal() }

var removeOnSignal = sync.OnceFunc(func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, Ends()...)
	go func() {
		s := <-signals
		writing.Range(func(temp, _ any) bool { os.Remove(temp.(string)); return true })
		signal.Reset(s)
		if p, err := os.FindProcess(os.Getpid()); err != nil || p.Signal(s) != nil {
			os.Exit(130)
		}
	}()
})
