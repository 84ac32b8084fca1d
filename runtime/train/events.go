package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/sys/protowire"
)

// events is a file of TensorBoard's: records as TFRecord frames them, each an Event in
// protobuf (tensorflow/core/util/event.proto). Every process of a run has one of its own;
// one that resumes says so, and TensorBoard drops what earlier ones have of later steps.
type events struct {
	f   *os.File
	now func() time.Time
}

// openEvents begins a file in a directory for the steps after the given one.
func openEvents(dir string, step int, now func() time.Time) (*events, error) {
	err := os.MkdirAll(dir, 0o777)
	e := &events{now: now}
	for second := now().Unix(); err == nil; second++ { // files are read in the order of their names
		e.f, err = os.OpenFile(filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.lorac", second)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if err == nil {
			break
		}
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err == nil {
		err = e.write(0, 3, []byte("brain.Event:2"))
	}
	if err == nil && step > 0 {
		const start = 1 // of SessionLog.SessionStatus
		err = e.write(step+1, 7, protowire.AppendVarint(nil, 1, start))
	}
	if err != nil {
		return nil, exit.Inputf("cannot write the events for TensorBoard: %w", err)
	}
	return e, nil
}

// numbers adds those of a step.
func (e *events) numbers(step int, list ...Number) error {
	var summary []byte
	for _, x := range list {
		value := protowire.AppendBytes(nil, 1, []byte(x.Name))
		value = protowire.AppendFloat(value, 2, float32(x.Value))
		summary = protowire.AppendBytes(summary, 1, value)
	}
	if err := e.write(step, 5, summary); err != nil {
		return exit.Failedf("cannot write the events for TensorBoard: %w", err)
	}
	return nil
}

// step adds the numbers of a step, under the names of transformers.
func (e *events) step(m Metric) error {
	return e.numbers(m.Step, Number{"train/loss", m.Loss}, Number{"train/learning_rate", m.LR}, Number{"train/grad_norm", m.GradNorm}, Number{"train/tokens_per_second", m.Speed})
}

// evaluated adds those of an evaluation: eval_loss is eval/loss.
func (e *events) evaluated(x Evaluated) error {
	var list []Number
	for _, n := range x.Numbers {
		list = append(list, Number{strings.Replace(n.Name, "_", "/", 1), n.Value})
	}
	return e.numbers(x.Step, list...)
}

// write adds an event whose content is in a field.
func (e *events) write(step, field int, content []byte) error {
	event := protowire.AppendDouble(nil, 1, float64(e.now().UnixMicro())/1e6)
	if step > 0 {
		event = protowire.AppendVarint(event, 2, uint64(step))
	}
	_, err := e.f.Write(frame(protowire.AppendBytes(event, field, content)))
	return err
}

// frame is a record of a TFRecord file: length, data, and a checksum of either.
func frame(data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	return binary.LittleEndian.AppendUint32(append(b, data...), masked(data))
}

// masked is the CRC32C of data as TFRecord stores it, which is no CRC of data that hold one.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
