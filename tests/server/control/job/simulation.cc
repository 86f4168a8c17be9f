#include "tests/server/control/job/simulation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/server/control/job/engine_fixture.h"
#include "tests/support/fakes/fake_results.h"

namespace stockpot {
namespace {

constexpr size_t kMostWorkers = 4;
// Far more than any schedule needs once nothing goes wrong any more.
constexpr int kMostSettlingSteps = 4000;

Fact Failure(absl::Status status) {
  Fact fact;
  fact.status = std::move(status);
  return fact;
}

// What must never be believed.
Fact Lie() { return Failure(absl::DataLossError("a lie")); }

}  // namespace

Simulation::Simulation(SimulationOptions options, HappeningCounts* counts)
    : options_(std::move(options)),
      counts_(counts),
      random_(options_.seed),
      log_(options_.log ? Log::ToStandardError("simulation", true) : Log::Silent()),
      observer_(std::make_unique<IgnoringObserver>()) {
  for (const NewJob& request : options_.jobs) {
    jobs_.push_back({absl::StrCat("jobs/", request.id), request, false, 0, {}, false});
  }
  StartServer();
}

Simulation::~Simulation() { EndServer(); }

bool Simulation::Run() {
  for (int step = 0; step < options_.steps && problems_.empty(); ++step) Disturb();
  Settle();
  CheckEnd();
  return problems_.empty();
}

void Simulation::Problem(const std::string& what) {
  problems_.push_back(absl::StrCat("seed ", options_.seed, ": ", what));
}

void Simulation::Disturb() {
  struct Happening {
    int weight;
    void (Simulation::*happens)();
  };
  static constexpr Happening kHappenings[] = {{30, &Simulation::AnswerOne},
                                              {2, &Simulation::AnswerTwice},
                                              {3, &Simulation::AnswerFromThePast},
                                              {2, &Simulation::AnswerForAnother},
                                              {1, &Simulation::FailOne},
                                              {4, &Simulation::Heartbeat},
                                              {5, &Simulation::ConnectWorker},
                                              {1, &Simulation::KillWorker},
                                              {1, &Simulation::LetWorkerLeave},
                                              {1, &Simulation::HangWorker},
                                              {1, &Simulation::WakeWorker},
                                              {6, &Simulation::LetTimePass},
                                              {1, &Simulation::JumpInTime},
                                              {1, &Simulation::BreakStore},
                                              {4, &Simulation::MendStore},
                                              {1, &Simulation::DieSoon},
                                              {1, &Simulation::RestartInOrder},
                                              {4, &Simulation::Create},
                                              {1, &Simulation::Cancel},
                                              {3, &Simulation::Retry},
                                              {1, &Simulation::Delete},
                                              {1, &Simulation::Inspect},
                                              {6, &Simulation::Watch}};
  int sum = 0;
  for (const Happening& happening : kHappenings) sum += happening.weight;
  int drawn = static_cast<int>(Draw(static_cast<size_t>(sum)));
  for (const Happening& happening : kHappenings) {
    drawn -= happening.weight;
    if (drawn >= 0) continue;
    (this->*happening.happens)();
    break;
  }
  // Several things may happen before the engine looks.
  if (Draw(4) != 0) Turn();
  if (session_store_->dead()) {
    EndServer();
    StartServer();
  }
}

void Simulation::Turn() {
  clock_.Advance(absl::Milliseconds(1));
  for (int i = 0; engine_->Turn(); ++i) {
    if (i > 1000) return Problem("the engine never comes to rest");
  }
  BuryShutDown();
}

// A worker that is told to go goes, or hangs on with what it had.
void Simulation::BuryShutDown() {
  for (const std::string& worker : pool_->TakeShutDown()) {
    for (const Given& given : pool_->open()) {
      if (given.worker == worker) past_.push_back(given);
    }
    hung_.insert(worker);
    if (Draw(2) == 0) {
      pool_->Lose(worker);
      hung_.erase(worker);
    }
  }
}

void Simulation::StartServer() {
  session_store_ = std::make_unique<UnreliableStore>(&store_, &witness_);
  Engine::Options options;
  options.artifact_folder = options_.folder;
  options.software = "stockpotd test";
  options.own_thread = false;
  if (!options_.quarantine) options.max_attempts = options.max_claims = 1000000;
  engine_ = *Engine::Create(std::move(options), session_store_.get(), &clock_, log_.get(),
                            observer_.get());
  pool_ = std::make_unique<SingleThreadPool>(engine_.get());
}

void Simulation::EndServer() {
  past_.insert(past_.end(), pool_->open().begin(), pool_->open().end());
  engine_.reset();
  pool_.reset();
  hung_.clear();
}

std::vector<size_t> Simulation::Answerable() const {
  std::vector<size_t> indices;
  for (size_t i = 0; i < pool_->open().size(); ++i) {
    if (!Hangs(pool_->open()[i].worker)) indices.push_back(i);
  }
  return indices;
}

void Simulation::AnswerOne() {
  const std::vector<size_t> indices = Answerable();
  if (indices.empty()) return;
  const size_t index = indices[Draw(indices.size())];
  const Given given = pool_->open()[index];
  past_.push_back(given);
  pool_->Answer(index, given.cancelled ? Failure(absl::CancelledError("cancelled"))
                                       : FakeResult(given.assignment.task));
}

void Simulation::AnswerTwice() {
  const size_t before = past_.size();
  AnswerOne();
  if (past_.size() == before) return;
  Count("a result twice");
  engine_->WorkerResult(past_.back().worker, past_.back().assignment.id, Lie());
}

void Simulation::AnswerFromThePast() {
  if (past_.empty()) return;
  Count("a result from the past");
  const Given& given = past_[Draw(past_.size())];
  const std::vector<std::string> workers = pool_->workers();
  const bool same = workers.empty() || Draw(2) == 0;
  engine_->WorkerResult(same ? given.worker : workers[Draw(workers.size())], given.assignment.id,
                        Lie());
}

void Simulation::AnswerForAnother() {
  const std::vector<std::string> workers = pool_->workers();
  if (pool_->open().empty() || workers.empty()) return;
  const Given& given = pool_->open()[Draw(pool_->open().size())];
  const std::string& worker = workers[Draw(workers.size())];
  if (worker == given.worker) return;
  Count("a result of another's task");
  engine_->WorkerResult(worker, given.assignment.id, Lie());
}

void Simulation::FailOne() {
  const std::vector<size_t> indices = Answerable();
  if (indices.empty()) return;
  Count("a transient failure");
  const size_t index = indices[Draw(indices.size())];
  past_.push_back(pool_->open()[index]);
  const absl::Status failures[] = {absl::UnavailableError("a moment of weakness"),
                                   absl::ResourceExhaustedError("no more of it"),
                                   absl::AbortedError("given up")};
  pool_->Answer(index, Failure(failures[Draw(3)]));
}

void Simulation::Heartbeat() {
  for (const Given& given : pool_->open()) {
    if (Hangs(given.worker)) continue;
    engine_->WorkerProgress(given.worker, given.assignment.id,
                            static_cast<int64_t>(Draw(kFakeExampleCount)));
  }
}

void Simulation::ConnectWorker() {
  if (pool_->workers().size() >= kMostWorkers) return;
  constexpr const char* kOthers[] = {"cpu other", ""};  // "": no device
  const size_t other = Draw(8);
  const char* numerics = other < std::size(kOthers) ? kOthers[other] : kFakeNumerics;
  // A name comes again when a worker is started again.
  const size_t name = Draw(2) == 0 ? Draw(kMostWorkers) : static_cast<size_t>(++last_worker_);
  pool_->Connect(absl::StrCat("w", name), numerics).IgnoreError();
}

void Simulation::KillWorker() {
  const std::vector<std::string> workers = pool_->workers();
  if (workers.empty()) return;
  Count("a dead worker");
  const std::string& worker = workers[Draw(workers.size())];
  const std::vector<Given> lost = pool_->Lose(worker);
  past_.insert(past_.end(), lost.begin(), lost.end());
  hung_.erase(worker);
}

// One that is asked to end may still finish what it has, or hands it back.
void Simulation::LetWorkerLeave() {
  const std::vector<std::string> workers = pool_->workers();
  if (workers.empty()) return;
  Count("a leaving worker");
  const std::string& worker = workers[Draw(workers.size())];
  engine_->WorkerLeaving(worker);
  if (Draw(2) == 0) return;
  for (size_t i = 0; i < pool_->open().size(); ++i) {
    if (pool_->open()[i].worker != worker) continue;
    past_.push_back(pool_->open()[i]);
    return pool_->Answer(
        i, Failure(WithReason(absl::CancelledError("its worker is stopped"), "HANDED_BACK")));
  }
}

void Simulation::HangWorker() {
  if (pool_->open().empty()) return;
  Count("a hung worker");
  hung_.insert(pool_->open()[Draw(pool_->open().size())].worker);
}

void Simulation::WakeWorker() {
  if (!hung_.empty()) hung_.erase(hung_.begin());
}

void Simulation::LetTimePass() {
  Heartbeat();
  clock_.Advance(absl::Milliseconds(1 + static_cast<int>(Draw(8000))));
}

void Simulation::JumpInTime() {
  Count("a jump in time");
  clock_.Advance(Draw(3) == 0 ? -absl::Seconds(1 + static_cast<int>(Draw(40)))
                              : absl::Seconds(1 + static_cast<int>(Draw(5000))));
}

void Simulation::BreakStore() {
  Count("a store that fails");
  const absl::Status errors[] = {
      absl::UnavailableError("busy for too long"),
      WithReason(absl::ResourceExhaustedError("full"), "DISK_FULL"),
      WithReason(absl::PermissionDeniedError("read-only"), "STORAGE_READ_ONLY"),
      absl::InternalError("input/output error")};
  session_store_->Fail(errors[Draw(4)], /*reads_too=*/Draw(4) == 0);
}

void Simulation::MendStore() { session_store_->Fail(absl::OkStatus()); }

void Simulation::DieSoon() {
  Count("a dead server");
  session_store_->DieAfter(static_cast<int>(Draw(12)));
}

void Simulation::RestartInOrder() {
  Count("a server that drains");
  engine_->Drain();
  for (size_t i = Draw(4); i > 0; --i) {
    AnswerOne();
    Turn();
  }
  EndServer();
  StartServer();
}

SimulatedJob* Simulation::AnyJob() { return &jobs_[Draw(jobs_.size())]; }

void Simulation::Create() {
  SimulatedJob* job = AnyJob();
  const absl::StatusOr<JobView> view = engine_->CreateJob(job->request);
  if (view.ok()) job->accepted = true;
  if (view.ok() && view->record.name != job->name) Problem("one request_id, two jobs");
}

void Simulation::Cancel() {
  if (engine_->CancelJob(AnyJob()->name).ok()) Count("a cancelled job");
}

void Simulation::Retry() {
  if (engine_->RetryJob(AnyJob()->name).ok()) Count("a retried job");
}

void Simulation::Delete() {
  SimulatedJob* job = AnyJob();
  if (!job->accepted) return;
  // Where the server died of it, only the disk knows.
  if (!engine_->DeleteJob(job->name).ok() && store_.GetJob(job->name).ok()) return;
  Count("a deleted job");
  *job = {job->name, job->request, false, 0, {}, false};
}

void Simulation::Inspect() {
  const size_t number = inspections_done_.size();
  inspections_done_.push_back(0);
  engine_->RunTask(InspectCheckpointTask(absl::StrCat("inspect", number), "/sweep/m00.safetensors"),
                   "somebody", [this, number](const Fact&) { ++inspections_done_[number]; });
}

void Simulation::Watch() { Read(AnyJob(), 1 + static_cast<int>(Draw(6))); }

void Simulation::Read(SimulatedJob* job, int limit) {
  const absl::StatusOr<Engine::EventPage> page = engine_->ReadEvents(job->name, job->seen, limit);
  if (!page.ok()) {
    if (absl::IsOutOfRange(page.status())) Problem("a watcher was told what is not stored");
    if (absl::IsNotFound(page.status()) && job->accepted) Problem("an accepted job was lost");
    return;
  }
  for (const EventRecord& event : page->events) {
    if (event.sequence != ++job->seen) Problem("a sequence with a gap");
    job->keys.push_back(event.key);
  }
  job->ended = page->ended;
  if (page->progress.tasks_done > page->progress.tasks_total) Problem("more done than there is");
}

void Simulation::Settle() {
  session_store_->DieAfter(-1);
  for (int step = 0; problems_.empty() && !AllSucceeded(); ++step) {
    if (step > kMostSettlingSteps) return Problem("it does not end");
    MendStore();
    if (session_store_->dead()) {
      EndServer();
      StartServer();
    }
    for (SimulatedJob& job : jobs_) {
      if (!job.accepted) job.accepted = engine_->CreateJob(job.request).ok();
      engine_->RetryJob(job.name).IgnoreError();  // refused unless it failed or was cancelled
      Read(&job, 3);
    }
    if (step % 100 == 0) {  // a fresh one now and then: any other may hang, or count differently
      pool_->Connect(absl::StrCat("settler ", step), kFakeNumerics).IgnoreError();
    }
    AnswerOne();
    Heartbeat();
    clock_.Advance(pool_->open().empty() ? absl::Minutes(1) : absl::Seconds(1));
    Turn();
  }
}

bool Simulation::AllSucceeded() {
  for (const SimulatedJob& job : jobs_) {
    const absl::StatusOr<JobRecord> record = store_.GetJob(job.name);
    if (!job.ended || !record.ok() || record->state != JobState::kSucceeded) return false;
    // The end that was seen may be one that a retry went on from.
    if (job.seen != record->last_sequence) return false;
  }
  return true;
}

void Simulation::CheckEnd() {
  problems_.insert(problems_.end(), witness_.violations.begin(), witness_.violations.end());
  if (!problems_.empty()) return;
  for (const SimulatedJob& job : jobs_) {
    const std::vector<EventRecord> events = *store_.ReadEvents(job.name, 0, 1000000);
    if (std::set<std::string>(job.keys.begin(), job.keys.end()).size() != job.keys.size()) {
      Problem(absl::StrCat(job.name, ": a watcher was told something twice"));
    }
    size_t same = 0;
    const size_t shorter = std::min(events.size(), job.keys.size());
    while (same < shorter && events[same].key == job.keys[same]) ++same;
    if (same < std::max(events.size(), job.keys.size())) {
      Problem(absl::StrCat(job.name, ": a watcher was told other things than are stored: of ",
                           events.size(), " events ", job.keys.size(), ", the first ", same,
                           " as they are stored, then ",
                           same < job.keys.size() ? job.keys[same] : "nothing", " for ",
                           same < events.size() ? events[same].key : "nothing"));
    }
  }
  EndServer();
  for (int answers : inspections_done_) {
    if (answers != 1) Problem("an inspection without one answer");
  }
  StartServer();
}

}  // namespace stockpot
