#include "server/worker/dataset/state_dict_rows.h"

#include <utility>
#include <vector>

#include "server/base/status.h"

namespace stockpot {
namespace {

class StateDictRows final : public TensorRows {
 public:
  StateDictRows(std::shared_ptr<const StateDict> tensors, StampedFiles files,
                std::function<absl::Status()> verify)
      : tensors_(std::move(tensors)), files_(std::move(files)), verify_(std::move(verify)) {}

  const std::vector<TensorInfo>& tensors() const override { return tensors_->tensors(); }

  absl::Status Scan(size_t index, const Take& take) const override {
    std::vector<char> scratch;
    ASSIGN_OR_RETURN(const absl::Span<const char> bytes, tensors_->Read(index, &scratch));
    return take({bytes.data(), bytes.size()});
  }

  std::shared_ptr<const StateDict> AsStateDict() const override { return tensors_; }
  void AddToKey(Sha256* key) const override { files_.AddToKey(key); }
  absl::Status CheckUnchanged() const override { return files_.CheckUnchanged(); }
  absl::Status Verify() const override { return verify_(); }

 private:
  const std::shared_ptr<const StateDict> tensors_;
  const StampedFiles files_;
  const std::function<absl::Status()> verify_;
};

}  // namespace

std::shared_ptr<const TensorRows> MakeStateDictRows(std::shared_ptr<const StateDict> tensors,
                                                    StampedFiles files,
                                                    std::function<absl::Status()> verify) {
  return std::make_shared<const StateDictRows>(std::move(tensors), std::move(files),
                                               std::move(verify));
}

}  // namespace stockpot
