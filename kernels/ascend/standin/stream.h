// A stream is a thread that works off a queue, so what a caller frees or changes
// too early goes wrong here too. The first error stays; what follows is not run.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "options.h"

namespace standin {

// A task gives an error code, and its text.
using Task = std::function<int(std::string&)>;

class Stream {
    struct Item { Task task; bool always; };
    std::mutex m;
    std::condition_variable more, idle;
    std::deque<Item> queue;
    bool busy = false, hung = false, stop = false;
    int error = OK;
    std::string why;

    void run()
    {
        std::unique_lock<std::mutex> g(m);
        for (;;) {
            more.wait(g, [&] { return stop || !queue.empty(); });
            if (stop) return;
            Item i = std::move(queue.front());
            queue.pop_front();
            busy = true;
            bool runs = !error || i.always;
            int e = OK;
            std::string w;
            g.unlock();
            if (runs) e = i.task(w);
            g.lock();
            busy = false;
            if (e && !error) error = e, why = w;
            if (queue.empty()) idle.notify_all();
        }
    }

public:
    const int id;

private:
    std::thread worker; // last: it uses the rest

public:
    explicit Stream(int id) : id(id), worker([this] { run(); }) {}
    // A stream is worked off before it goes, unless it hangs.
    ~Stream()
    {
        {
            std::unique_lock<std::mutex> g(m);
            idle.wait(g, [&] { return hung || (queue.empty() && !busy); });
            stop = true;
        }
        more.notify_all();
        worker.join();
    }
    // add queues a task; one that runs always does so after an error too.
    void add(Task t, bool always = false)
    {
        { std::lock_guard<std::mutex> g(m); queue.push_back({std::move(t), always}); }
        more.notify_one();
    }
    // hang is called by a task: it ends with the stream.
    void hang()
    {
        std::unique_lock<std::mutex> g(m);
        hung = true;
        idle.notify_all();
        more.wait(g, [&] { return stop; });
    }
    // wait waits for at most ms milliseconds; below 0 for any time.
    int wait(int ms, std::string& text)
    {
        std::unique_lock<std::mutex> g(m);
        auto done = [&] { return queue.empty() && !busy; };
        if (ms < 0) idle.wait(g, done);
        else if (!idle.wait_for(g, std::chrono::milliseconds(ms), done)) {
            text = "stream synchronize timeout, timeout=" + std::to_string(ms) + "ms";
            return SYNC_TIMEOUT;
        }
        text = why;
        return error;
    }
};

} // namespace standin
