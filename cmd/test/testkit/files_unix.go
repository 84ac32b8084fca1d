//go:build unix

package testkit

import "syscall"

// MaxFile is the largest file that a test or a process it starts may write.
const MaxFile = 1 << 30

// LimitFiles bounds the size of each file of this process and those it starts.
// It is called from TestMain of packages whose tests run trainers.
func LimitFiles() {
	var now syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_FSIZE, &now) == nil && now.Cur > MaxFile {
		now.Cur = MaxFile
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now)
	}
}
