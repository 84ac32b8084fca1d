package torch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// machine interprets the subset of pickle (Python Lib/pickletools.py) that state
// dicts use. It executes no code: the few functions that a state dict names are
// implemented here and make tensors and dicts.
type machine struct {
	in       []byte
	at       int
	stack    []any
	marks    []int // stack heights of the marks
	memo     map[uint32]any
	storages map[string]*storage
	archive  *archive
	copied   int // pairs added to dicts so far
}

// Limits on what a pickle may create, far above a model of ten thousand tensors.
const (
	maxStack = 1 << 20
	maxMemo  = 1 << 20
)

// The value types of the machine other than string, int, float64, bool and nil.
type (
	global struct{ module, name string }
	tuple  []any
	list   struct{ items []any }
	dict   struct {
		keys   []any
		values map[any]any
	}
	opaque struct{ what string } // an allowed value whose content is ignored
)

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case *tensor:
		return "a single tensor"
	case *list, tuple:
		return "a list"
	case *dict:
		return "a dict"
	case global:
		return v.String()
	}
	return fmt.Sprintf("a %T", v)
}

func (g global) String() string { return g.module + "." + g.name }

var errCut = errors.New("the pickle ends early")

func (m *machine) take(n int) ([]byte, error) {
	if n < 0 || n > len(m.in)-m.at {
		return nil, errCut
	}
	b := m.in[m.at : m.at+n]
	m.at += n
	return b, nil
}

func (m *machine) push(v any) error {
	if len(m.stack) >= maxStack {
		return fmt.Errorf("the stack exceeds %d values", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// floor is the stack height below which nothing may be popped: the last mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

var errStack = errors.New("stack underflow")

func (m *machine) pop() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errStack
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popMark pops everything above the last mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errStack
	}
	at := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := append([]any(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	return items, nil
}

func (m *machine) put(i uint32) error {
	if len(m.stack) <= m.floor() {
		return errStack
	}
	if len(m.memo) >= maxMemo {
		return fmt.Errorf("the memo exceeds %d values", maxMemo)
	}
	m.memo[i] = m.stack[len(m.stack)-1]
	return nil
}

func (m *machine) get(i uint32) error {
	v, ok := m.memo[i]
	if !ok {
		return fmt.Errorf("memo entry %d does not exist", i)
	}
	return m.push(v)
}

// line reads up to the end of a line.
func (m *machine) line() (string, error) {
	for i := m.at; i < len(m.in) && i < m.at+512; i++ {
		if m.in[i] == '\n' {
			s := string(m.in[m.at:i])
			m.at = i + 1
			return s, nil
		}
	}
	return "", errCut
}

// run interprets the pickle and returns the one value left on the stack.
func (m *machine) run() (any, error) {
	for {
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' {
			return m.pop()
		}
		if err := m.step(op[0]); err != nil {
			return nil, err
		}
	}
}

// sized reads text or bytes that follow their length of n bytes.
func (m *machine) sized(n int) ([]byte, error) {
	head, err := m.take(n)
	if err != nil {
		return nil, err
	}
	length := uint64(0)
	for i := n - 1; i >= 0; i-- {
		length = length<<8 | uint64(head[i])
	}
	if length > uint64(len(m.in)-m.at) {
		return nil, fmt.Errorf("a string of %d bytes exceeds the pickle", length)
	}
	return m.take(int(length))
}

// step executes one opcode.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := m.take(1)
		if err == nil && (v[0] < 2 || v[0] > 5) {
			err = fmt.Errorf("protocol %d is not supported; 2 to 5 are", v[0])
		}
		return err
	case 0x95: // FRAME
		_, err := m.take(8)
		return err
	case '(': // MARK
		if len(m.marks) >= maxStack {
			return fmt.Errorf("more than %d marks", maxStack)
		}
		m.marks = append(m.marks, len(m.stack))
		return nil
	case 'N':
		return m.push(nil)
	case 0x88:
		return m.push(true)
	case 0x89:
		return m.push(false)
	case '}':
		return m.push(newDict())
	case ']':
		return m.push(&list{})
	case ')':
		return m.push(tuple(nil))
	case 'J', 'K', 'M', 0x8a, 'G':
		return m.number(op)
	case 'X', 0x8c, 0x8d, 'B', 'C', 0x8e: // text and bytes, by the width of their length
		b, err := m.sized(map[byte]int{'X': 4, 0x8c: 1, 0x8d: 8, 'B': 4, 'C': 1, 0x8e: 8}[op])
		if err != nil {
			return err
		}
		return m.push(string(b))
	case 'q', 'r', 'h', 'j':
		return m.remember(op)
	case 0x94: // MEMOIZE
		return m.put(uint32(len(m.memo)))
	case '0': // POP
		_, err := m.pop()
		return err
	case 't', 0x85, 0x86, 0x87, 'a', 'e', 's', 'u':
		return m.gather(op)
	case 'c', 0x93:
		return m.global(op)
	case 'Q':
		return m.persistent()
	case 'R':
		return m.reduce()
	case 'b': // BUILD: attributes of a dict, such as _metadata, say nothing about its tensors
		if _, err := m.pop(); err != nil {
			return err
		}
		v, err := m.pop()
		if err != nil {
			return err
		}
		if _, ok := v.(*dict); !ok {
			return fmt.Errorf("attributes of %s are not supported, only of dicts; save model.state_dict(), not the model", kind(v))
		}
		return m.push(v)
	}
	return fmt.Errorf("opcode %#02x is not one that a state dict needs; no code was executed", op)
}

func (m *machine) number(op byte) error {
	n, err := m.take(map[byte]int{'J': 4, 'K': 1, 'M': 2, 0x8a: 1, 'G': 8}[op])
	if err != nil {
		return err
	}
	switch op {
	case 'J':
		return m.push(int(int32(binary.LittleEndian.Uint32(n))))
	case 'K':
		return m.push(int(n[0]))
	case 'M':
		return m.push(int(binary.LittleEndian.Uint16(n)))
	case 'G':
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(n)))
	}
	digits, err := m.take(int(n[0])) // LONG1: two's complement, the lowest byte first
	if err != nil {
		return err
	}
	if len(digits) > 8 {
		return m.push(opaque{"a long number"}) // such as a seed; no size is that long
	}
	v := int64(0)
	for i := len(digits) - 1; i >= 0; i-- {
		v = v<<8 | int64(digits[i])
	}
	if n := len(digits); n > 0 && n < 8 && digits[n-1] >= 0x80 {
		v -= 1 << (8 * n)
	}
	return m.push(int(v))
}

func (m *machine) remember(op byte) error {
	n := 1
	if op == 'r' || op == 'j' {
		n = 4
	}
	b, err := m.take(n)
	if err != nil {
		return err
	}
	i := uint32(b[0])
	if n == 4 {
		i = binary.LittleEndian.Uint32(b)
	}
	if op == 'q' || op == 'r' {
		return m.put(i)
	}
	return m.get(i)
}

// gather makes tuples and extends lists and dicts.
func (m *machine) gather(op byte) error {
	var items []any
	var err error
	switch op {
	case 't', 'e', 'u':
		items, err = m.popMark()
	default:
		n := map[byte]int{0x85: 1, 0x86: 2, 0x87: 3, 'a': 1, 's': 2}[op]
		if len(m.stack)-n < m.floor() {
			return errStack
		}
		items = append(items, m.stack[len(m.stack)-n:]...)
		m.stack = m.stack[:len(m.stack)-n]
	}
	if err != nil {
		return err
	}
	if op == 't' || op >= 0x85 {
		return m.push(tuple(items))
	}
	if len(m.stack) <= m.floor() {
		return errStack
	}
	switch to := m.stack[len(m.stack)-1].(type) {
	case *list:
		if op == 'a' || op == 'e' {
			to.items = append(to.items, items...)
			return nil
		}
	case *dict:
		if (op == 's' || op == 'u') && len(items)%2 == 0 {
			return to.set(items)
		}
	}
	return errors.New("items are added to a value that is neither a list nor a dict")
}

func newDict() *dict { return &dict{values: map[any]any{}} }

// set adds alternating keys and values.
func (d *dict) set(items []any) error {
	for i := 0; i < len(items); i += 2 {
		switch items[i].(type) {
		case string, int, bool, float64, nil:
		default:
			return fmt.Errorf("a dict has %s for a key", kind(items[i]))
		}
		if _, there := d.values[items[i]]; there {
			return fmt.Errorf("a dict has the key %v twice", items[i])
		}
		d.keys = append(d.keys, items[i])
		d.values[items[i]] = items[i+1]
	}
	return nil
}
