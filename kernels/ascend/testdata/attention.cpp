// Answers with the numbers of csrc/attention_sizes.h and attention_work.h. A request is a
// line:
//   forward|gradient HEADS KVHEADS DIM LENGTHS…   bytes in, bytes out, FLOPs of a launch
//   waste DIM LENGTH                              FLOPs of both over the useful ones
//   workspace GROUPS KEYS QUERIES HEADS KVHEADS DIM   bytes of both
//   memory DIM                                    ub l1 l0a l0b l0c of both
#include "attention_work.h"
#include <iostream>
#include <sstream>
#include <string>
using namespace attention_sizes;

int main()
{
    for (std::string line; std::getline(std::cin, line); std::cout << "\n") {
        std::istringstream in(line);
        std::string what;
        in >> what;
        uint64_t v[6] = {};
        if (what == "forward" || what == "gradient") {
            in >> v[0] >> v[1] >> v[2];
            Work w;
            for (uint64_t n; in >> n;) w.Add(what == "forward" ? forward::Sequence(n, v[0], v[1], v[2]) : gradient::Sequence(n, v[0], v[1], v[2]));
            std::cout << w.l1 + w.ub << " " << w.out << " " << w.flops;
        } else if (what == "waste") {
            in >> v[0] >> v[1];
            std::cout << double(forward::Sequence(v[1], 1, 1, v[0]).flops) / forward::Useful(v[1], 1, v[0]) << " "
                      << double(gradient::Sequence(v[1], 1, 1, v[0]).flops) / gradient::Useful(v[1], 1, v[0]);
        } else if (what == "workspace") {
            for (uint64_t& x : v) in >> x;
            std::cout << v[0] * forward::WORKSPACE << " " << gradient::Workspace(v[0], v[1], v[2], v[3], v[4], v[5]);
        } else if (what == "memory") {
            in >> v[0];
            for (const Memory& m : {forward::Of(v[0]), gradient::Of(v[0])}) std::cout << m.ub << " " << m.l1 << " " << m.l0a << " " << m.l0b << " " << m.l0c << " ";
        } else return 1;
    }
}
