package ascend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Toolkit is a CANN toolkit: what compiles Ascend C.
type Toolkit struct {
	Home    string // ASCEND_HOME_PATH
	Version string // 9.1.0
	Bisheng string // its compiler
	Linker  string // ld.lld beside it
}

// noCompiler is the error of FindToolkit where nothing compiles.
type noCompiler struct{ why, help string }

func (e *noCompiler) Error() string { return e.why + "\n  = help: " + e.help }

// FindToolkit finds the toolkit that the environment names (set_env.sh).
func FindToolkit() (*Toolkit, error) {
	list := homes()
	if len(list) == 0 {
		return nil, &noCompiler{"no CANN toolkit: neither ASCEND_HOME_PATH nor ASCEND_TOOLKIT_HOME names one", "source set_env.sh of CANN 9 or later"}
	}
	var looked []string
	for _, home := range list {
		for _, dir := range compilerDirs(home) {
			bisheng := filepath.Join(dir, "bisheng")
			looked = append(looked, bisheng)
			if !isFile(bisheng) {
				continue
			}
			t := &Toolkit{Home: home, Version: version(home), Bisheng: bisheng, Linker: filepath.Join(dir, "ld.lld")}
			if t.Version == "" {
				return nil, fmt.Errorf("the CANN toolkit in %s does not say its version\n  = help: source its set_env.sh; ASCEND_HOME_PATH must be the directory of one version", home)
			}
			return t, nil
		}
	}
	why := fmt.Sprintf("the CANN toolkit in %s has no compiler: there is no\n    %s", list[0], strings.Join(looked, "\n    "))
	return nil, &noCompiler{why, "install Ascend-cann-toolkit; the packages that only run models have none"}
}

// arch is the name of this machine's processor in a toolkit.
func arch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux"
	}
	return "x86_64-linux"
}

// compilerDirs are where toolkits of 8.x and 9.x have their compiler.
func compilerDirs(home string) []string {
	var list []string
	for _, dir := range []string{arch() + "/ccec_compiler/bin", "ccec_compiler/bin", "compiler/ccec_compiler/bin", "tools/bisheng_compiler/bin", "bin"} {
		list = append(list, filepath.Join(home, filepath.FromSlash(dir)))
	}
	return list
}

// versionFiles say a toolkit's version, in the form of a pattern.
var versionFiles = []struct {
	path    string
	pattern *regexp.Regexp
}{
	{"ARCH/ascend_toolkit_install.info", versionLine},
	{"ARCH/ascend_cann_install.info", versionLine},
	{"ascend_toolkit_install.info", versionLine},
	{"ascend_cann_install.info", versionLine},
	{"version.cfg", regexp.MustCompile(`(?m)^\w*running_version=\[[^:\]]*:([^\]]+)\]`)},
	{"compiler/version.info", regexp.MustCompile(`(?m)^version_dir=(\S+)$`)},
	{"share/info/compiler/version.info", regexp.MustCompile(`(?m)^version_dir=(\S+)$`)},
	{"share/info/asc-devkit/version.info", regexp.MustCompile(`(?m)^Version=(\S+)$`)},
	{"compiler/version.info", regexp.MustCompile(`(?m)^Version=(\S+)$`)},
}

var (
	versionLine = regexp.MustCompile(`(?m)^version=(\S+)$`)
	versionName = regexp.MustCompile(`^(?:cann-)?(\d+\.\d+.*)$`)
)

// version is what a toolkit says, else what its directory is called.
func version(home string) string {
	for _, f := range versionFiles {
		text, err := os.ReadFile(filepath.Join(home, strings.Replace(f.path, "ARCH", arch(), 1)))
		if m := f.pattern.FindSubmatch(text); err == nil && m != nil {
			return string(m[1])
		}
	}
	if real, err := filepath.EvalSymlinks(home); err == nil {
		if m := versionName.FindStringSubmatch(filepath.Base(real)); m != nil {
			return m[1]
		}
	}
	return ""
}

// major is the first number of the version.
func (t *Toolkit) major() int {
	first, _, _ := strings.Cut(t.Version, ".")
	n, _ := strconv.Atoi(first)
	return n
}

// command is a program with its arguments.
type command []string

func (c command) String() string {
	var words []string
	for _, w := range c {
		if w == "" || strings.ContainsAny(w, " '\"$*;&|<>()") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// npuArch is the architecture of all chips that the kernels are for.
const npuArch = "dav-2201"

// commands make the binary of the kernels for a chip, in a directory that has the
// sources in csrc: steps in order, each of commands that may run at once. A toolkit
// of 9.x compiles and links; one of 8.x has CMake make what such a compiler does by
// itself (CANN's asc-devkit, cmake/asc).
func (t *Toolkit) commands(soc string, sources []string) (steps [][]command, binary string) {
	if t.major() < 9 {
		return [][]command{
			{{"cmake", "-S", ".", "-B", "build", "-DSOC_VERSION=" + soc, "-DASCEND_CANN_PACKAGE_PATH=" + t.Home}},
			{{"cmake", "--build", "build"}},
		}, "out/fatbin/kernels/kernels.o"
	}
	var compile []command
	link := command{t.Linker, "-m", "aicorelinux", "-Ttext=0"}
	for _, s := range sources {
		object := strings.TrimSuffix(filepath.Base(s), ".cpp") + ".o"
		compile = append(compile, command{t.Bisheng, "-Icsrc", "-std=c++17", "-O3", "-fPIC", "--npu-arch=" + npuArch, "--aicore-only", "-o", object, "-c", "-x", "asc", s})
		link = append(link, object)
	}
	return [][]command{compile, {append(link, "-static", "-o", "kernels.o")}}, "kernels.o"
}

// cmakeLists is the project that a toolkit of 8.x builds.
const cmakeLists = `cmake_minimum_required(VERSION 3.16)
project(lorac_kernels)
set(SOC_VERSION "Ascend910B3" CACHE STRING "the chip")
set(ASCEND_CANN_PACKAGE_PATH "$ENV{ASCEND_HOME_PATH}" CACHE PATH "the CANN toolkit")
set(RUN_MODE "npu" CACHE STRING "npu")
set(CMAKE_BUILD_TYPE "Release" CACHE STRING "Release" FORCE)
set(CMAKE_INSTALL_PREFIX "${CMAKE_CURRENT_LIST_DIR}/out" CACHE PATH "where the binary goes" FORCE)
foreach(dir tools/tikcpp compiler/tikcpp)
  if(EXISTS ${ASCEND_CANN_PACKAGE_PATH}/${dir}/ascendc_kernel_cmake/ascendc.cmake)
    include(${ASCEND_CANN_PACKAGE_PATH}/${dir}/ascendc_kernel_cmake/ascendc.cmake)
    break()
  endif()
endforeach()
file(GLOB sources ${CMAKE_CURRENT_SOURCE_DIR}/csrc/*.cpp)
ascendc_fatbin_library(kernels ${sources})
ascendc_include_directories(kernels PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/csrc)
`

// missing is what a toolkit needs besides and this machine lacks.
func (t *Toolkit) missing() error {
	if t.major() < 9 {
		if _, err := exec.LookPath("cmake"); err != nil {
			return fmt.Errorf("CANN %s compiles kernels with CMake, which is not in PATH\n  = help: install cmake, or CANN 9 or later, which needs none", t.Version)
		}
	} else if !isFile(t.Linker) {
		return fmt.Errorf("the CANN toolkit in %s has no linker: there is no %s", t.Home, t.Linker)
	}
	return nil
}
