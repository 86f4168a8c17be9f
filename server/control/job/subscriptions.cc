#include "server/control/job/subscriptions.h"

#include <utility>
#include <vector>

namespace stockpot {

class Subscriptions::Handle final : public Engine::Subscription {
 public:
  Handle(std::shared_ptr<Table> table, std::string job, std::shared_ptr<Entry> entry)
      : table_(std::move(table)), job_(std::move(job)), entry_(std::move(entry)) {}

  ~Handle() override {
    {
      absl::MutexLock hold(&table_->mutex);
      auto found = table_->by_job.find(job_);
      found->second.erase(entry_);
      if (found->second.empty()) table_->by_job.erase(found);
    }
    // Waits for a running call; a call that was about to start finds nothing to do.
    absl::MutexLock hold(&entry_->mutex);
    entry_->changed = nullptr;
  }

 private:
  const std::shared_ptr<Table> table_;
  const std::string job_;
  const std::shared_ptr<Entry> entry_;
};

std::unique_ptr<Engine::Subscription> Subscriptions::Add(const std::string& job,
                                                         std::function<void()> changed) {
  auto entry = std::make_shared<Entry>();
  {
    absl::MutexLock hold(&entry->mutex);
    entry->changed = std::move(changed);
  }
  absl::MutexLock hold(&table_->mutex);
  table_->by_job[job].insert(entry);
  return std::make_unique<Handle>(table_, job, std::move(entry));
}

void Subscriptions::Notify(const std::string& job) {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    absl::MutexLock hold(&table_->mutex);
    auto found = table_->by_job.find(job);
    if (found == table_->by_job.end()) return;
    entries.assign(found->second.begin(), found->second.end());
  }
  for (const std::shared_ptr<Entry>& entry : entries) {
    absl::MutexLock hold(&entry->mutex);
    if (entry->changed != nullptr) entry->changed();
  }
}

}  // namespace stockpot
