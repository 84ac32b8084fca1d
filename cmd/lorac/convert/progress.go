package convert

import (
	"lorac/cmd/lorac/progress"
	"lorac/runtime/sys/atomicfile"
)

// writing shows how far files of so many bytes are written, 0 where that is not known,
// until done is called.
func writing(path string, total int) (done func()) {
	meter := progress.Bytes("writing "+path, total)
	atomicfile.Written = meter.Add
	return func() {
		atomicfile.Written = nil
		meter.End()
	}
}
