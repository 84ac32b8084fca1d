// The part of the Ascend C API that the kernels use, for g++ and any machine. Arch 2201 only.
#pragma once
#include "cube.h"
#include "reduce.h"
