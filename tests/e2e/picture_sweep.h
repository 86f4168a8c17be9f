// Three classifiers of tiny pictures in folders: a job whose images are decoded into the cache.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_E2E_PICTURE_SWEEP_H_
#define STOCKPOT_TESTS_E2E_PICTURE_SWEEP_H_

#include <filesystem>
#include <string>
#include <vector>

#include "stockpot/v1/spec.pb.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

class PictureSweep {
 public:
  PictureSweep() {
    std::filesystem::copy("tests/support/models/image.pt", folder_ / "image.pt");
    const char* pictures[] = {"rgb.png", "palette.png", "cmyk.jpg",
                              "444.jpg", "grey.png",    "lossy.webp"};
    for (size_t i = 0; i < std::size(pictures); ++i) {
      const std::string folder = folder_ / ("data/class_" + std::to_string(i % 3));
      std::filesystem::create_directories(folder);
      std::filesystem::copy(std::string("tests/server/worker/dataset/data/") + pictures[i],
                            folder + "/" + pictures[i]);
    }
    for (int i = 0; i < 3; ++i) {
      std::vector<float> weight(3, 1.0f);
      weight[static_cast<size_t>(i)] = 1.5f;
      WriteSafetensors(Checkpoint(i), {MakeTensor("weight", DType::kFloat32, {3}, weight)});
    }
  }

  v1::JobSpec Spec() const {
    v1::JobSpec spec;
    spec.mutable_model()->set_architecture_uri(folder_ / "image.pt");
    for (int i = 0; i < 3; ++i) spec.add_ingredients()->set_uri(Checkpoint(i));
    spec.mutable_compute()->set_speculation(1);
    v1::DataSet* data = spec.mutable_evaluation()->mutable_held_out();
    data->set_uri(folder_ / "data");
    data->mutable_image_transform()->set_resize_height(2);
    data->mutable_image_transform()->set_resize_width(2);
    return spec;
  }

 private:
  std::string Checkpoint(int i) const {
    return folder_ / ("checkpoint_" + std::to_string(i) + ".safetensors");
  }

  const TemporaryFolder folder_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_E2E_PICTURE_SWEEP_H_
