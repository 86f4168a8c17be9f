#include "tests/support/fakes/single_thread_pool.h"

#include <utility>

#include "tests/support/fakes/fake_worker.h"

namespace stockpot {

class SingleThreadPool::Link final : public WorkerLink {
 public:
  Link(SingleThreadPool* pool, std::string worker) : pool_(pool), worker_(std::move(worker)) {}
  void Assign(const Assignment& assignment) override {
    pool_->open_.push_back({worker_, assignment, false});
  }
  void Cancel(const std::string& assignment_id) override {
    for (Given& given : pool_->open_) {
      if (given.assignment.id == assignment_id) given.cancelled = true;
    }
  }
  void Shutdown() override { pool_->shut_down_.push_back(worker_); }
  void Drop() override {}  // the simulation decides when a worker is lost

 private:
  SingleThreadPool* const pool_;
  const std::string worker_;
};

SingleThreadPool::SingleThreadPool(Engine* engine) : engine_(engine) {}
SingleThreadPool::~SingleThreadPool() = default;

absl::Status SingleThreadPool::Connect(const std::string& worker, const std::string& numerics) {
  auto link = std::make_unique<Link>(this, worker);
  const absl::Status status = engine_->WorkerConnected(FakeWorker(worker, numerics), link.get());
  if (status.ok()) links_[worker] = std::move(link);
  return status;
}

std::vector<SingleThreadPool::Given> SingleThreadPool::Lose(const std::string& worker) {
  engine_->WorkerLost(worker);
  links_.erase(worker);
  std::vector<Given> kept, lost;
  for (Given& given : open_) {
    (given.worker == worker ? lost : kept).push_back(std::move(given));
  }
  open_ = std::move(kept);
  return lost;
}

std::vector<std::string> SingleThreadPool::TakeShutDown() { return std::exchange(shut_down_, {}); }

std::vector<std::string> SingleThreadPool::workers() const {
  std::vector<std::string> names;
  for (const auto& [name, link] : links_) names.push_back(name);
  return names;
}

void SingleThreadPool::Answer(size_t index, Fact fact) {
  const Given given = open_[index];
  open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index));
  engine_->WorkerResult(given.worker, given.assignment.id, std::move(fact));
}

}  // namespace stockpot
