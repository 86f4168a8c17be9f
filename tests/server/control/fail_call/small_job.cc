#include "tests/server/control/fail_call/small_job.h"

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/control/store/sqlite/sqlite_store.h"
#include "tests/server/control/job/engine_fixture.h"
#include "tests/support/fakes/fake_results.h"

namespace stockpot {
namespace {

constexpr char kName[] = "jobs/a";
// Tries and turns after which a failure that goes on is mended, and after which it must be over.
constexpr int kTriesBeforeMending = 40;
constexpr int kMostTries = 400;

NewJob Request() {
  NewJob job;
  job.id = "a";
  job.request_id = "the one";
  job.spec = FakeSpec(FakeUris(2)).dump();
  return job;
}

}  // namespace

SmallJob::SmallJob(FailingCalls::Options options)
    : calls_(folder_.path(), options), observer_(std::make_unique<IgnoringObserver>()) {}

SmallJob::~SmallJob() { Close(); }

bool SmallJob::Run() {
  Open();
  if (problems_.empty()) Create();
  if (problems_.empty()) Work(5);
  Close();
  if (problems_.empty()) Open();
  if (problems_.empty()) Work(kMostTries);
  if (problems_.empty()) CheckStored();
  if (problems_.empty()) Delete();
  Close();
  problems_.insert(problems_.end(), witness_.violations.begin(), witness_.violations.end());
  return problems_.empty();
}

void SmallJob::Problem(const std::string& what) {
  problems_.push_back(absl::StrCat(what, " (failed: ", calls_.failed(), ")"));
}

// Whoever is refused learns why, and there was a reason.
void SmallJob::Refused(const char* what, const absl::Status& status) {
  if (calls_.failed().empty())
    Problem(absl::StrCat(what, " failed, but no call did: ", status.ToString()));
  if (status.message().empty()) Problem(absl::StrCat(what, ": a failure that does not say why"));
  if (++tries_ > kTriesBeforeMending) calls_.Mend();
  if (tries_ > kMostTries) Problem(absl::StrCat(what, " never works again: ", status.ToString()));
  clock_.Advance(absl::Seconds(1));
}

void SmallJob::Open() {
  while (problems_.empty()) {
    const absl::Status status = TryToOpen();
    if (status.ok()) return;
    Close();
    Refused("opening", status);
  }
}

absl::Status SmallJob::TryToOpen() {
  ASSIGN_OR_RETURN(store_, OpenSqliteStore(folder_ / "data"));
  witnessed_ = std::make_unique<UnreliableStore>(store_.get(), &witness_);
  Engine::Options options;
  options.artifact_folder = folder_ / "data/artifacts";
  options.software = "stockpotd test";
  options.own_thread = false;
  ASSIGN_OR_RETURN(engine_, Engine::Create(std::move(options), witnessed_.get(), &clock_,
                                           log_.get(), observer_.get()));
  pool_ = std::make_unique<SingleThreadPool>(engine_.get());
  return pool_->Connect(absl::StrCat("w", ++workers_), kFakeNumerics);
}

void SmallJob::Close() {
  engine_.reset();
  pool_.reset();
  witnessed_.reset();
  store_.reset();
}

void SmallJob::Create() {
  while (problems_.empty()) {
    const absl::StatusOr<JobView> job = engine_->CreateJob(Request());
    if (job.ok()) return;
    Refused("CreateJob", job.status());
  }
}

void SmallJob::Work(int most_answers) {
  int answers = 0;
  for (int turn = 0; problems_.empty() && answers < most_answers; ++turn) {
    if (turn > kTriesBeforeMending) calls_.Mend();
    if (turn > kMostTries) return Problem("the job never ends");
    Turn();
    Watch();
    LookAtState();
    if (state_ == JobState::kSucceeded) return;
    if (state_ == JobState::kFailed) engine_->RetryJob(kName).IgnoreError();
    if (!pool_->open().empty()) {
      pool_->Answer(0, FakeResult(pool_->open()[0].assignment.task));
      ++answers;
    } else {
      clock_.Advance(absl::Minutes(1));
    }
  }
}

void SmallJob::Turn() {
  clock_.Advance(absl::Milliseconds(1));
  for (int i = 0; engine_->Turn(); ++i) {
    if (i > 1000) return Problem("the engine never comes to rest");
  }
}

void SmallJob::Watch() {
  const auto seen = static_cast<int64_t>(event_keys_.size());
  const absl::StatusOr<Engine::EventPage> page = engine_->ReadEvents(kName, seen, 3);
  if (!page.ok() && absl::IsOutOfRange(page.status())) Problem("an event was told, and lost");
  if (!page.ok()) return;
  for (const EventRecord& event : page->events) {
    event_keys_.push_back(event.key);
    if (event.sequence != static_cast<int64_t>(event_keys_.size())) Problem("a gap");
  }
}

void SmallJob::LookAtState() {
  const absl::StatusOr<JobView> view = engine_->GetJob(kName);
  if (!view.ok()) return Refused("GetJob", view.status());
  const JobRecord& job = view->record;
  if (job.state == JobState::kFailed && state_ != job.state) {
    ++failures_;
    Refused("the job", job.error);
  }
  if (job.state == JobState::kSuspended && state_ != job.state) {
    ++suspensions_;
    if (job.suspend_reason.empty()) Problem("suspended for no reason");
  }
  state_ = job.state;
}

void SmallJob::CheckStored() {
  absl::StatusOr<JobRecord> job = store_->GetJob(kName);
  while (problems_.empty() && !job.ok()) {
    Refused("reading the job", job.status());
    job = store_->GetJob(kName);
  }
  if (!problems_.empty()) return;
  result_ = Json::parse(job->report)["result"].dump();
  CheckFiles(*job);
  while (problems_.empty() && static_cast<int64_t>(event_keys_.size()) < job->last_sequence) {
    const size_t before = event_keys_.size();
    Watch();
    if (event_keys_.size() == before) Refused("watching", absl::UnknownError("nothing comes"));
  }
  const std::set<std::string> keys(event_keys_.begin(), event_keys_.end());
  if (keys.size() != event_keys_.size()) Problem("an event came twice");
}

// What the job promises as its files are the files that are there.
void SmallJob::CheckFiles(const JobRecord& job) {
  std::set<std::string> written;
  for (const Json& artifact : Json::parse(job.artifacts)) {
    const std::string name = artifact["file"];
    if (name == "soup.safetensors") continue;  // a worker's
    written.insert(name);
    absl::StatusOr<std::string> text;
    do {
      text = ReadSmallFile(engine_->ArtifactFolder(job) + "/" + name, 1000000);
      if (!text.ok()) Refused("reading a file", text.status());
    } while (!text.ok() && problems_.empty());
    if (text.ok() && Sha256Hex(*text) != artifact["sha256"])
      Problem(name + " is not what was told");
  }
  if (written.count("manifest.json") == 0 || written.count("report.json") == 0)
    Problem("no report");
}

void SmallJob::Delete() {
  while (problems_.empty()) {
    const absl::Status status = engine_->DeleteJob(kName);
    // It may have been deleted, and only the answer got lost.
    if (status.ok() || absl::IsNotFound(status)) break;
    Refused("DeleteJob", status);
  }
  calls_.Mend();
  if (std::filesystem::exists(folder_ / "data/artifacts/a")) Problem("its files are still there");
}

}  // namespace stockpot
