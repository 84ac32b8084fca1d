// Every kernel: name, cores, number of arguments. Each source has its own list.
#include "linear.table.h"
#include "dropped.table.h"
